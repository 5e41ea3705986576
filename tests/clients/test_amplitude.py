"""The Amplitude client spends one export, waits out transient failures, and sends its keys to no other server."""

from __future__ import annotations

import gzip
import logging
import socket
import stat
from typing import TYPE_CHECKING

import pytest
from clients.conftest import amplitude_client
from fakes.recording_server import CannedResponse, RecordingServer, unannounced

from airflow_provider_amplitude_segment.core.export.download import Download
from airflow_provider_amplitude_segment.core.export.responses import (
    ExportCompleted,
    ExportPending,
    ExportRequested,
    ExportsLimited,
    Usage,
)
from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeCredentialsError,
    AmplitudeUnavailableError,
    ExportCutOffError,
    ExportFailedError,
    SettingError,
)
from airflow_provider_amplitude_segment.sandbox import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from clients.conftest import Waits

    from airflow_provider_amplitude_segment.clients.amplitude import AmplitudeClient
    from airflow_provider_amplitude_segment.sandbox import Sandbox

FILE = b'"amplitude_id","user_id"\n"356896327775",""\n"356896327776","ann"\n"356896327777","bob"\n'


def requested(client: AmplitudeClient) -> str:
    """Request an export and return its ID."""
    response = client.request_export("26umsb5")
    assert isinstance(response, ExportRequested)
    return response.request_id


def completed(client: AmplitudeClient) -> str:
    """Request an export, ask until it is completed, and return its ID."""
    request_id = requested(client)
    while client.export_status(request_id) != ExportCompleted():
        pass
    return request_id


def test_a_cohort_comes_from_the_list_to_the_disk(amplitude: AmplitudeClient, tmp_path: Path) -> None:
    """List, request, ask, download; one export is spent."""
    (cohort,) = amplitude.list_cohorts()
    assert (cohort.cohort_id, cohort.name, cohort.size) == ("26umsb5", "Power Users", 3)

    request_id = requested(amplitude)
    assert amplitude.export_status(request_id) == ExportPending("JOB INPROGRESS")
    assert amplitude.export_status(request_id) == ExportCompleted()

    assert amplitude.download(request_id, tmp_path / "cohort.csv") == Download(len(FILE))
    assert (tmp_path / "cohort.csv").read_bytes() == FILE
    usage = amplitude.usage()
    assert isinstance(usage, Usage)
    assert (usage.usage, usage.limit) == (1, 500)


@pytest.mark.parametrize("delivery", ["inline", "storage"])
def test_gzip_reaches_the_disk_as_it_is(
    sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path, delivery: str
) -> None:
    """Inflating it is not the client's, inline or through the link."""
    sandbox.amplitude.cohorts["26umsb5"].gzip = True
    sandbox.amplitude.cohorts["26umsb5"].delivery = delivery  # type: ignore[assignment]
    to = tmp_path / "cohort.csv.gz"
    received = amplitude.download(completed(amplitude), to).received_bytes
    assert received == to.stat().st_size
    assert gzip.decompress(to.read_bytes()) == FILE


def test_the_file_is_its_owners_only(amplitude: AmplitudeClient, tmp_path: Path) -> None:
    """It holds user IDs."""
    amplitude.download(completed(amplitude), tmp_path / "cohort.csv")
    assert stat.S_IMODE((tmp_path / "cohort.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("point", ["amplitude.file", "amplitude.storage"])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "7"}},
        {"reset": True},
        {"cut_after_bytes": 20},
    ],
)
def test_a_failed_download_is_begun_anew_from_the_same_export(
    sandbox: Sandbox,
    amplitude: AmplitudeClient,
    waits: Waits,
    tmp_path: Path,
    point: str,
    fault: dict[str, object],
) -> None:
    """Twice, and no second export is spent."""
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage" if point == "amplitude.storage" else "inline"
    request_id = completed(amplitude)
    sandbox.faults.add(Fault(on=point, times=2, **fault))  # type: ignore[arg-type]
    amplitude.download(request_id, tmp_path / "cohort.csv")
    assert (tmp_path / "cohort.csv").read_bytes() == FILE
    assert sandbox.amplitude.exports_spent == 1
    assert waits.seconds == ([7.0, 7.0] if fault.get("status") == 429 else [1.0, 2.0])


def test_an_expired_link_is_fetched_anew(sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path) -> None:
    """Storage responds to it with 403, which says nothing about the keys."""
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage"
    request_id = completed(amplitude)
    sandbox.faults.add(Fault(on="amplitude.storage", status=403, times=3))
    amplitude.download(request_id, tmp_path / "cohort.csv")
    assert (tmp_path / "cohort.csv").read_bytes() == FILE
    assert sandbox.amplitude.exports_spent == 1


def test_a_download_that_is_always_cut_ends_and_leaves_nothing(
    sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path
) -> None:
    """The error can be retried and says how much came."""
    request_id = completed(amplitude)
    sandbox.faults.add(Fault(on="amplitude.file", cut_after_bytes=20, times=5))
    with pytest.raises(ExportCutOffError, match="20 bytes") as caught:
        amplitude.download(request_id, tmp_path / "cohort.csv")
    assert caught.value.retryable
    assert caught.value.request_id == request_id
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_never_begins_ends(sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path) -> None:
    """After five tries."""
    request_id = completed(amplitude)
    sandbox.faults.add(Fault(on="amplitude.file", status=503, times=5))
    with pytest.raises(AmplitudeUnavailableError):
        amplitude.download(request_id, tmp_path / "cohort.csv")
    assert sandbox.faults.pending == []


def test_an_unknown_export_has_no_file(amplitude: AmplitudeClient, tmp_path: Path) -> None:
    """And is not asked for twice."""
    with pytest.raises(ExportFailedError, match="nosuch"):
        amplitude.download("nosuch", tmp_path / "cohort.csv")


@pytest.mark.parametrize("point", ["amplitude.file", "amplitude.storage"])
def test_a_file_says_whether_its_end_was_announced(
    sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path, point: str
) -> None:
    """A length or chunks announce it; the end of the connection does not, be the file whole or cut."""
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage" if point == "amplitude.storage" else "inline"
    request_id, to = completed(amplitude), tmp_path / "cohort.csv"
    assert amplitude.download(request_id, to) == Download(len(FILE), is_end_announced=True)

    sandbox.faults.add(
        Fault(on=point, cut_unannounced=True),  # type: ignore[arg-type]
        Fault(on=point, cut_unannounced=True, cut_after_bytes=46),  # type: ignore[arg-type]
    )
    assert amplitude.download(request_id, to) == Download(len(FILE), is_end_announced=False)
    assert amplitude.download(request_id, to) == Download(46, is_end_announced=False)
    assert to.read_bytes() == FILE[:46]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"


def test_chunks_announce_an_end_and_are_missed(waits: Waits, tmp_path: Path) -> None:
    """Also where the cut is right behind one of them."""
    with RecordingServer(CannedResponse(raw=CHUNKED), CannedResponse(raw=CHUNKED + b"0\r\n\r\n")) as api:
        to = tmp_path / "cohort.csv"
        assert amplitude_client(api.url, waits).download("qfaZya", to) == Download(4, is_end_announced=True)
    assert waits.seconds == [1.0]


def test_storage_sees_neither_keys_nor_netrc(waits: Waits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not although both are the same host, and the user's .netrc has a word for it."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login netrc-login password netrc-password\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with RecordingServer(CannedResponse(body=FILE)) as storage:
        with RecordingServer(CannedResponse(302, {"Location": f"{storage.url}/x.csv?sig=1"})) as api:
            client = amplitude_client(api.url, waits, login="key", password="word")
            client.download("qfaZya", tmp_path / "cohort.csv")
            assert api.came[0].headers["authorization"].startswith("Basic ")
        (came,) = storage.came
    assert came.path == "/x.csv?sig=1"
    assert "authorization" not in came.headers
    assert "cookie" not in came.headers
    assert came.headers["accept-encoding"] == "gzip"


def test_a_link_that_is_not_https_is_not_followed(waits: Waits, tmp_path: Path) -> None:
    """Nor is it shown."""
    with (
        RecordingServer(CannedResponse(302, {"Location": "http://bucket.example.com/x?sig=hush"})) as api,
        pytest.raises(AmplitudeAnswerError, match="not followed") as caught,
    ):
        amplitude_client(api.url, waits).download("qfaZya", tmp_path / "cohort.csv")
    assert "hush" not in str(caught.value)


def test_links_to_links_end(waits: Waits, tmp_path: Path) -> None:
    """Storage may redirect a little, not forever."""
    with RecordingServer() as api:
        api.responses = [CannedResponse(302, {"Location": f"{api.url}/again"})]
        with pytest.raises(AmplitudeAnswerError):
            amplitude_client(api.url, waits).download("qfaZya", tmp_path / "cohort.csv")
        assert len(api.came) == 4


def test_no_redirect_is_followed_with_keys(waits: Waits) -> None:
    """A list that is somewhere else is not Amplitude's."""
    with RecordingServer() as elsewhere, RecordingServer(CannedResponse(302, {"Location": elsewhere.url})) as api:
        with pytest.raises(AmplitudeAnswerError, match="redirect"):
            amplitude_client(api.url, waits).list_cohorts()
        assert elsewhere.came == []


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"reset": True}])
def test_a_list_is_asked_for_again(
    sandbox: Sandbox, amplitude: AmplitudeClient, waits: Waits, fault: dict[str, object]
) -> None:
    """Four times, each wait twice the one before."""
    sandbox.faults.add(Fault(on="amplitude.list", times=4, **fault))  # type: ignore[arg-type]
    assert len(amplitude.list_cohorts()) == 1
    assert waits.seconds == [1.0, 2.0, 4.0, 8.0]


LIST = b'{"cohorts": [{"id": "26umsb5", "name": "Power Users"}]}'
CUTS = {
    "without an announced end": unannounced(LIST[:30]),
    "before its first byte": unannounced(b""),
    "in its headers": CannedResponse(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
    "before its announced length": CannedResponse(body=LIST[:30], content_length=len(LIST)),
    "in its chunks": CannedResponse(raw=CHUNKED),
    "and announced by a proxy that took it for whole": CannedResponse(body=LIST[:30]),
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_cut_list_is_asked_for_again(waits: Waits, cut: CannedResponse) -> None:
    """Another time it may come whole, so it is not taken for something else's response."""
    with RecordingServer(cut, cut, unannounced(LIST)) as api:
        (cohort,) = amplitude_client(api.url, waits).list_cohorts()
    assert cohort.cohort_id == "26umsb5"
    assert waits.seconds == [1.0, 2.0]
    with RecordingServer(cut) as api, pytest.raises(AmplitudeUnavailableError) as caught:
        amplitude_client(api.url, waits).list_cohorts()
    assert caught.value.retryable


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b"[]"])
def test_a_page_without_an_announced_end_is_still_another_servers(waits: Waits, body: bytes) -> None:
    """It is no beginning of a response of Amplitude's."""
    with RecordingServer(unannounced(body)) as api, pytest.raises(AmplitudeAnswerError):
        amplitude_client(api.url, waits).list_cohorts()
    assert waits.seconds == []


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_cut_answer_to_a_request_may_have_spent_an_export_and_can_be_retried(
    waits: Waits, cut: CannedResponse
) -> None:
    """It is not repeated here: another export would be spent."""
    with RecordingServer(cut) as api:
        with pytest.raises(AmplitudeUnavailableError, match="may have been spent") as caught:
            amplitude_client(api.url, waits).request_export("26umsb5")
        assert len(api.came) == 1
    assert caught.value.retryable


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS.keys())
def test_a_cut_status_says_nothing(waits: Waits, cut: CannedResponse) -> None:
    """Least of all that the export is completed, which an empty response of status 200 would say."""
    with RecordingServer(cut) as api:
        assert amplitude_client(api.url, waits).export_status("qfaZya") == RetryLater(
            None, None, "the response was cut off"
        )


def test_a_cut_usage_is_asked_for_again(waits: Waits) -> None:
    with RecordingServer(unannounced(b'{"limit": 500'), unannounced(b'{"limit": 500, "usage": 499}')) as api:
        assert amplitude_client(api.url, waits).usage() == Usage(499, 500)


def test_retry_after_is_honoured_up_to_a_minute(sandbox: Sandbox, amplitude: AmplitudeClient, waits: Waits) -> None:
    """A task's slot is not spent on longer waits."""
    sandbox.faults.add(Fault(on="amplitude.list", status=429, headers={"Retry-After": "20"}))
    sandbox.faults.add(Fault(on="amplitude.list", status=503, headers={"Retry-After": "86400"}))
    amplitude.list_cohorts()
    assert waits.seconds == [20.0, 60.0]


def test_wrong_keys_are_not_tried_again(sandbox: Sandbox, waits: Waits) -> None:
    """And no key is in the message."""
    client = amplitude_client(sandbox.url, waits, login="wrong-key", password="wrong-word")
    with pytest.raises(AmplitudeCredentialsError, match="region") as caught:
        client.list_cohorts()
    assert waits.seconds == []
    assert "wrong-" not in str(caught.value)


@pytest.mark.parametrize("apply", [True, False])
def test_a_failing_request_is_never_repeated(sandbox: Sandbox, amplitude: AmplitudeClient, *, apply: bool) -> None:
    """Whether Amplitude counted it cannot be known, and the error says so."""
    sandbox.faults.add(Fault(on="amplitude.request", status=503, apply=apply))
    with pytest.raises(AmplitudeUnavailableError, match="may have been spent") as caught:
        amplitude.request_export("26umsb5")
    assert caught.value.retryable
    assert sandbox.amplitude.exports_spent == apply


def test_a_lost_answer_to_a_request_is_never_repeated(sandbox: Sandbox, amplitude: AmplitudeClient) -> None:
    """The export is spent once, and the error says that it may be."""
    sandbox.faults.add(Fault(on="amplitude.request", reset=True, apply=True))
    with pytest.raises(AmplitudeUnavailableError, match="may have been spent"):
        amplitude.request_export("26umsb5")
    assert sandbox.amplitude.exports_spent == 1


def test_a_request_that_reached_nobody_is_repeated(waits: Waits) -> None:
    """Nothing listens there, so nothing was spent, and the error says that."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(AmplitudeUnavailableError, match="No export was spent"):
        amplitude_client(url, waits).request_export("26umsb5")
    assert len(waits.seconds) == 4


def test_a_limited_request_is_told_as_such(sandbox: Sandbox, amplitude: AmplitudeClient) -> None:
    """Waiting, or asking the usage, is the caller's."""
    sandbox.amplitude.used_this_month = 500
    assert isinstance(amplitude.request_export("26umsb5"), ExportsLimited)
    usage = amplitude.usage()
    assert usage is not None
    assert usage.left == 0


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"reset": True}])
def test_a_status_is_asked_once(
    sandbox: Sandbox, amplitude: AmplitudeClient, waits: Waits, fault: dict[str, object]
) -> None:
    """Asking again is the caller's, who has other things to look after."""
    request_id = requested(amplitude)
    sandbox.faults.add(Fault(on="amplitude.status", **fault))  # type: ignore[arg-type]
    response = amplitude.export_status(request_id)
    assert isinstance(response, RetryLater)
    assert (response.status, response.after_seconds) == (fault.get("status"), None)
    assert waits.seconds == []


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 404}, {"reset": True}])
def test_usage_is_never_a_reason_to_fail(
    sandbox: Sandbox, amplitude: AmplitudeClient, fault: dict[str, object]
) -> None:
    """It is not known then."""
    sandbox.faults.add(Fault(on="amplitude.usage", times=5, **fault))  # type: ignore[arg-type]
    assert amplitude.usage() is None


@pytest.mark.parametrize("cohort_id", ["../../cohorts/usage", "a/b?c=d#e", "ä \ud800", "%2e%2e"])
def test_an_id_is_one_part_of_the_path(waits: Waits, cohort_id: str) -> None:
    """Whatever is in it, the request goes nowhere else."""
    with RecordingServer(CannedResponse(202, body=b'{"request_id": "qfaZya"}')) as api:
        amplitude_client(api.url, waits).request_export(cohort_id)
        (came,) = api.came
    assert came.path.startswith("/api/5/cohorts/request/")
    assert came.path.count("/") == 5
    assert "?" not in came.path


@pytest.mark.parametrize("cohort_id", ["", ".", ".."])
def test_dots_are_no_id(waits: Waits, cohort_id: str) -> None:
    """They would be another path; nothing is asked."""
    with RecordingServer() as api:
        with pytest.raises(SettingError):
            amplitude_client(api.url, waits).request_export(cohort_id)
        assert api.came == []


def test_nothing_secret_is_logged(
    sandbox: Sandbox, amplitude: AmplitudeClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """No key, no signed link and no user ID, at any level, although everything fails once."""
    caplog.set_level(logging.DEBUG)
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage"
    sandbox.faults.add(
        Fault(on="amplitude.list", reset=True),
        Fault(on="amplitude.file", status=503),
        Fault(on="amplitude.storage", cut_after_bytes=60),
    )
    amplitude.list_cohorts()
    amplitude.download(completed(amplitude), tmp_path / "cohort.csv")
    assert "listing the cohorts" in caplog.text
    for hidden in (sandbox.amplitude.api_key, sandbox.amplitude.secret_key, "/storage/", "ann"):
        assert hidden not in caplog.text
    assert sandbox.amplitude.secret_key not in repr(amplitude)


def test_a_header_that_cannot_be_read_shows_no_signed_link_in_the_log(
    waits: Waits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 logs it with the URL, at WARNING."""
    caplog.set_level(logging.DEBUG)
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nno colon\r\nFoo: 1\r\n\r\nuser_id\n"
    with RecordingServer(CannedResponse(raw=raw)) as storage, RecordingServer() as api:
        api.responses = [CannedResponse(302, {"Location": f"{storage.url}/file?X-Amz-Signature=hush"})]
        amplitude_client(api.url, waits).download("qfaZya", tmp_path / "cohort.csv")
        assert "hush" in storage.came[0].path
    assert "hush" not in caplog.text
