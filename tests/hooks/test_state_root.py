"""A state path is read as it is written, and what was pasted for one is refused with what to type."""

from pathlib import Path

import pytest

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.state_root import open_state_root


@pytest.mark.parametrize(
    "place",
    [
        "/var/my ledger",
        "file:///var/my ledger",
        "file:///var/my%20ledger",
        "file://localhost/var/my%20ledger",
        "FILE://LocalHost/var/my%20ledger",
        "file:/var/my%20ledger",
        "local:///var/my%20ledger",
        "file:///var/my%20ledger/",
    ],
)
def test_a_file_url_without_another_host_is_a_path(place: str) -> None:
    assert open_state_root(place) == Path("/var/my ledger")


def test_a_path_is_not_decoded() -> None:
    assert open_state_root("/var/100%25?#") == Path("/var/100%25?#")


@pytest.mark.parametrize(
    ("place", "takes"),
    [
        ("file://otherhost/var/ledger", "file:///otherhost/var/ledger, if that is the path; a network share"),
        ("file://var/ledger", "file:///var/ledger"),
        ("file://192.168.0.7/share", "file:///192.168.0.7/share"),
        ("file:ledger", "file:///path"),
        ("file:///var/ledger?mode=rw", "file:///path, percent-encoded"),
        ("file:///var/%FF%FE", "file:///path, percent-encoded"),
        ("file://", "file:///path"),
        ("ledger", "an absolute path"),
        ("~/ledger", "an absolute path"),
        ("s3:/bucket/state", "s3://bucket/state"),
        ("s3:bucket/state", "s3://bucket/state"),
        ("s3://bucket/state?region=eu-west-1", "s3://bucket/state, and options in Extra of the connection"),
        ("gs://bucket/state#now", "gs://bucket/state, and options"),
        ("https://my-bucket.s3.amazonaws.com/a/", "s3://<connection ID>@my-bucket/a"),
        ("https://my.bucket.s3-eu-west-1.amazonaws.com", "s3://<connection ID>@my.bucket"),
        ("HTTPS://s3.eu-central-1.amazonaws.com/my-bucket/a", "s3://<connection ID>@my-bucket/a"),
        ("https://s3.console.aws.amazon.com/s3/buckets/my-bucket?prefix=a/b/", "s3://<connection ID>@my-bucket/a/b"),
        ("arn:aws:s3:::my-bucket/a", "s3://<connection ID>@my-bucket/a"),
        (
            "https://console.cloud.google.com/storage/browser/my-bucket/a;tab=objects",
            "gs://<connection ID>@my-bucket/a",
        ),
        ("https://account.dfs.core.windows.net/container/a", "abfs://<connection ID>@container/a"),
        ("https://minio.example.com/bucket", "s3://<connection ID>@<bucket>/<path>, with the endpoint"),
        ("sftp://host/var/ledger", "an absolute path, file:///path, s3://connection@bucket/…, gs://… or abfs://…"),
        ("smb://host/share?user=hush", "an absolute path"),
        ("webhdfs://host/ledger", "an absolute path"),
        ("memory://ledger", "an absolute path"),
    ],
)
def test_what_is_no_state_path_is_refused_with_what_to_type(place: str, takes: str) -> None:
    with pytest.raises(SettingError, match=r"^state_path: got ") as refused:
        open_state_root(place)
    assert refused.value.takes.startswith(takes)


@pytest.mark.parametrize(
    "place",
    [
        "https://my-bucket.s3.amazonaws.com/a?X-Amz-Signature=hush",
        "s3://bucket/a?X-Amz-Signature=hush",
        "https://user:hush@minio.example.com/bucket",
        "file://user:hush@host/var/ledger",
    ],
)
def test_no_secret_of_a_pasted_address_is_repeated(place: str) -> None:
    with pytest.raises(SettingError) as refused:
        open_state_root(place)
    assert "hush" not in str(refused.value)
