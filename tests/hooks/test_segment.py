"""A Segment connection becomes a client and a destination, or an error that names the field."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from fakes.recording_server import CannedResponse, RecordingServer

from airflow_provider_amplitude_segment.core.delivery.response import Acknowledged
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook

if TYPE_CHECKING:
    from collections.abc import Callable


KEY = "write-key-0123456789"
BATCH = b'{"batch": [{"type": "identify", "userId": "ann", "traits": {"t": true}, "messageId": "m"}]}'


@pytest.mark.usefixtures("sandbox")
def test_a_batch_goes_out_with_the_key_and_a_colon() -> None:
    """The sandbox refuses every other form."""
    assert SegmentHook().get_conn().post_batch(BATCH) == Acknowledged()


@pytest.mark.parametrize(
    "fields",
    [
        {"conn_type": "segmentio", "password": KEY},
        {"conn_type": "segmentio", "password": f" {KEY}\n"},
        {"conn_type": "segmentio", "login": "a-user", "password": KEY},
        {"conn_type": "segment", "extra": {"write_key": KEY}},
        {"conn_type": "segment", "password": "", "extra": {"write_key": f"{KEY}\n"}},
    ],
)
def test_the_header_is_the_key_alone(connect: Callable[..., str], fields: dict[str, object]) -> None:
    """From the password, or as Airflow's own Segment provider keeps it; a login does not matter."""
    with RecordingServer(CannedResponse(body=b'{"success": true}')) as server:
        SegmentHook(connect("s", host=server.url, **fields)).get_conn().post_batch(BATCH)
        (came,) = server.came
    assert came.headers["authorization"] == "Basic d3JpdGUta2V5LTAxMjM0NTY3ODk6"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"password": " \n"},
        {"login": KEY},
        {"extra": {"write_key": ""}},
        {"extra": {"write_key": None}},
        {"extra": {"write_key": {"a": 1}}},
    ],
)
def test_a_missing_write_key_is_named(connect: Callable[..., str], fields: dict[str, object]) -> None:
    """By the connection and the form's label, for the client and the destination alike."""
    hook = SegmentHook(connect("segment_crm", conn_type="segmentio", **fields))
    for ask in (hook.get_conn, hook.describe):
        with pytest.raises(SettingError, match="connection 'segment_crm', field 'Write key'") as caught:
            ask()
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({}, "https://api.segment.io"),
        ({"extra": {"region": "EU"}}, "https://events.eu1.segmentapis.com"),
        ({"port": 443, "extra": {"region": "EU"}}, "https://events.eu1.segmentapis.com"),
        ({"host": "https://events.eu1.segmentapis.com/v1"}, "https://events.eu1.segmentapis.com"),
        ({"host": "segment.example.com", "extra": {"region": "EU"}}, "https://segment.example.com"),
    ],
)
def test_the_region_decides_and_a_host_overrides(
    connect: Callable[..., str], fields: dict[str, object], url: str
) -> None:
    """With or without the version."""
    assert SegmentHook(connect("s", conn_type="segmentio", password=KEY, **fields)).get_conn().base_url == url


@pytest.mark.parametrize("host", ["app.segment.com", "https://eu1.app.segment.com/acme/sources"])
def test_the_web_application_is_no_host(connect: Callable[..., str], host: str) -> None:
    """It would respond, and lose everything."""
    hook = SegmentHook(connect("s", conn_type="segmentio", password=KEY, host=host))

    works, sentence = hook.test_connection()

    assert not works
    assert "is Segment's web application, not its API" in sentence
    with pytest.raises(SettingError, match="web application"):
        hook.get_conn()


@pytest.mark.usefixtures("sandbox")
def test_the_test_button_says_of_another_host_that_it_may_not_be_segment() -> None:
    assert "nor that this host is Segment's" in SegmentHook().test_connection()[1]


@pytest.mark.usefixtures("sandbox")
def test_the_test_button_says_that_segment_accepts_any_key_and_where_to_look() -> None:
    works, sentence = SegmentHook().test_connection()
    assert works
    assert sentence.startswith("Reached, but Segment accepts any key: http://127.0.0.1:")
    assert "This does NOT prove the write key" in sentence
    assert "Connections > Sources > the source > Debugger" in sentence


@pytest.mark.parametrize(
    ("region", "debugger"),
    [
        ("US", "https://app.segment.com/acme/sources/python/debugger"),
        ("EU", "https://eu1.app.segment.com/acme/sources/python/debugger"),
    ],
)
def test_the_test_button_has_the_debuggers_address_where_the_connection_makes_it_known(
    connect: Callable[..., str], region: str, debugger: str
) -> None:
    with RecordingServer(CannedResponse(404)) as server:
        slugs = {"workspace": "acme", "source": " python ", "region": region}
        works, sentence = SegmentHook(
            connect("s", conn_type="segmentio", password=KEY, host=server.url, extra=slugs)
        ).test_connection()
    assert works
    assert sentence.endswith(f"look for the users in its debugger: {debugger}")
    assert f"nor that its source is in the data region {region}" in sentence
    assert KEY not in sentence


def test_slugs_may_be_pasted_as_the_address_of_the_sources_page(connect: Callable[..., str]) -> None:
    page = "https://app.segment.com/acme/sources/python/overview?x=1"
    hook = SegmentHook(connect("s", conn_type="segmentio", password=KEY, extra={"workspace": page, "source": page}))
    described = hook.describe()
    assert (described.workspace, described.source) == ("acme", "python")
    assert hook.get_debugger_url() == "https://app.segment.com/acme/sources/python/debugger"


@pytest.mark.parametrize("slugs", [{}, {"workspace": "acme"}, {"source": "python"}, {"workspace": " ", "source": ""}])
def test_a_debugger_is_unknown_without_workspace_and_source(connect: Callable[..., str], slugs: dict[str, str]) -> None:
    assert SegmentHook(connect("s", conn_type="segmentio", password=KEY, extra=slugs)).get_debugger_url() is None


@pytest.mark.parametrize(
    ("host", "region", "other"),
    [("https://API.segment.io:443/v1", "EU", "US"), ("events.eu1.segmentapis.com", "US", "EU")],
)
def test_a_host_of_the_other_region_is_refused_before_anybody_is_asked(
    connect: Callable[..., str], host: str, region: str, other: str
) -> None:
    hook = SegmentHook(connect("s", conn_type="segmentio", password=KEY, host=host, extra={"region": region}))
    works, sentence = hook.test_connection()
    assert not works
    assert sentence.startswith(f"Field 'Data region': wrong region: it is {region}, but Host (https://")
    assert f"is that of {other}." in sentence
    with pytest.raises(SettingError, match="wrong region"):
        hook.describe()


def test_a_host_of_one_region_decides_about_the_region_where_the_connection_names_none(
    connect: Callable[..., str],
) -> None:
    slugs = {"workspace": "acme", "source": "python"}
    hook = SegmentHook(
        connect("s", conn_type="segmentio", password=KEY, host="events.eu1.segmentapis.com/v1", extra=slugs)
    )
    assert hook.get_debugger_url() == "https://eu1.app.segment.com/acme/sources/python/debugger"


PASTED = [
    ("https://api.segment.io/v1/batch", "no value, to use the region's host"),
    ("https://api.segment.io/v1/identify", "no value, to use the region's host"),
    ("api.segment.io/v1/import/", "no value, to use the region's host"),
    ("https://events.eu1.segmentapis.com/v1/t", "no value, to use the region's host"),
    ("https://api.segment.io/docs", "no value, to use the region's host"),
    ("https://proxy.example.com/v1/track", "https://proxy.example.com"),
    ("https://proxy.example.com:8443/segment/v1/batch", "https://proxy.example.com:8443/segment"),
    ("https://api.segmentapis.com/sources", "no value, to use the region's host"),
    ("eu1.api.segmentapis.com", "no value, to use the region's host"),
    ("https://profiles.segment.com/v1/spaces", "no value, to use the region's host"),
]


@pytest.mark.parametrize(("host", "takes"), PASTED)
def test_a_pasted_address_of_a_call_or_of_another_api_is_refused_with_what_to_type(
    connect: Callable[..., str], host: str, takes: str
) -> None:
    hook = SegmentHook(connect("s", conn_type="segmentio", password=KEY, host=host))
    for ask in (hook.get_conn, hook.describe):
        with pytest.raises(SettingError, match="connection 's', field 'Host'") as refused:
            ask()
        assert refused.value.takes.startswith(takes)


@pytest.mark.parametrize("host", ["https://proxy.example.com/batch", "https://proxy.example.com/v1", "https://v1.test"])
def test_the_path_of_a_proxy_is_left_as_it_is(connect: Callable[..., str], host: str) -> None:
    hook = SegmentHook(connect("s", conn_type="segmentio", password=KEY, host=host))
    assert hook.get_conn().base_url == host.removesuffix("/v1")


@pytest.mark.parametrize(
    ("status", "said"),
    [(407, "the proxy wants a user and a password"), (502, "returns HTTP 502, as a proxy or a broken server does")],
)
def test_a_proxys_answer_is_not_taken_for_segments(connect: Callable[..., str], status: int, said: str) -> None:
    with RecordingServer(CannedResponse(status)) as server:
        works, sentence = SegmentHook(
            connect("s", conn_type="segmentio", password=KEY, host=server.url)
        ).test_connection()
    assert not works
    assert said in sentence


def test_the_test_button_says_what_it_did_not_reach(connect: Callable[..., str]) -> None:
    """Without a key in the sentence."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connect("s", conn_type="segmentio", password=KEY, host="127.0.0.1", port=port)
    works, sentence = SegmentHook("s").test_connection()
    assert (works, KEY in sentence) == (False, False)
    assert sentence.startswith(
        f"Not reached: no response from http://127.0.0.1:{port} (data region US): the server refuses"
    )


def test_the_test_button_names_a_missing_key_by_the_forms_label(connect: Callable[..., str]) -> None:
    assert SegmentHook(connect("blank", conn_type="segmentio")).test_connection() == (
        False,
        "Field 'Write key': it is missing or blank. It takes the write key as it was issued.",
    )


def test_a_destination_is_told_by_host_and_key(connect: Callable[..., str]) -> None:
    """The same for two connections of one source, another for another key or host; no secret is in it."""
    connect("one", conn_type="segmentio", password=KEY)
    connect("with_port", conn_type="segmentio", password=KEY, port=443)
    connect("same", conn_type="segment", host="https://API.segment.io:443/v1/", extra={"write_key": KEY})
    connect("other_key", conn_type="segmentio", password=f"{KEY}0")
    connect("other_host", conn_type="segmentio", password=KEY, extra={"region": "EU"})
    one, same, other_key, other_host = (
        SegmentHook(conn_id).describe() for conn_id in ("one", "same", "other_key", "other_host")
    )
    assert one.name.startswith("dst-")
    assert len(one.name) == 24
    assert one.host == "api.segment.io"
    assert SegmentHook("with_port").describe().name == one.name
    assert (one.name, one.key_fingerprint) == (same.name, same.key_fingerprint)
    assert len({one.name, other_key.name, other_host.name}) == 3
    assert len({one.key_fingerprint, other_key.key_fingerprint, other_host.key_fingerprint}) == 3
    assert KEY not in repr(one)


def test_a_destination_can_keep_its_name_when_the_key_changes(connect: Callable[..., str]) -> None:
    """Slugs for links and pace come along."""
    extra = {"destination_id": " crm ", "workspace": "acme", "source": "python"}
    connect("old", conn_type="segmentio", password=KEY, extra=extra)
    connect("new", conn_type="segmentio", password=f"{KEY}0", extra=extra)
    old, new = SegmentHook("old").describe(), SegmentHook("new").describe()
    assert old.name == new.name == "crm"
    assert (old.workspace, old.source) == ("acme", "python")
    assert old.key_fingerprint != new.key_fingerprint
