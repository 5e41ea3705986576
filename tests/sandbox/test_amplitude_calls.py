"""The stand-in Amplitude answers as Amplitude's documents say."""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import SandboxCohort

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_amplitude_segment.sandbox import Sandbox

CALLS = (
    "/api/3/cohorts",
    "/api/3/cohorts/usage",
    "/api/5/cohorts/request/26umsb5",
    "/api/5/cohorts/request-status/qfaZya",
    "/api/5/cohorts/request/qfaZya/file",
)


def rows_of(text: str) -> list[list[str]]:
    """Read a CSV file as a careful reader does."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.mark.parametrize("path", CALLS)
def test_every_call_needs_credentials(amplitude: Any, path: str) -> None:
    """Without credentials a call is answered 401, with a wrong secret key 403; neither spends an export."""
    assert amplitude.get(path, auth=None).status_code == 401
    assert amplitude.get(path, auth=None, headers={"Authorization": "Basic ???"}).status_code == 401
    assert amplitude.get(path, auth=(amplitude.sandbox.amplitude.api_key, "wrong")).status_code == 403
    assert amplitude.sandbox.amplitude.exports_spent == 0


def test_the_list_shows_discoverable_cohorts(sandbox: Sandbox, amplitude: Any, clock: Callable[[], float]) -> None:
    """Archived cohorts are listed, undiscoverable ones are not."""
    sandbox.amplitude.cohorts["old"] = SandboxCohort("old", "Old", archived=True)
    sandbox.amplitude.cohorts["own"] = SandboxCohort("own", "Own", discoverable=False)

    listed = {cohort["id"]: cohort for cohort in amplitude.get("/api/3/cohorts").json()["cohorts"]}

    assert set(listed) == {"26umsb5", "old"}
    assert listed["old"]["archived"] is True
    assert listed["26umsb5"]["size"] == 3
    assert listed["26umsb5"]["lastComputed"] == int(clock())
    assert listed["26umsb5"]["definition"]["countGroup"]["name"] == "User"
    assert "syncMetadata" not in listed["26umsb5"]


def test_a_cohort_can_be_listed_as_never_computed(sandbox: Sandbox, amplitude: Any) -> None:
    """Size and moment of computation may be null, a stale number, or true; a new name shows at once."""
    cohort = sandbox.amplitude.cohorts["26umsb5"]
    cohort.listed_size, cohort.last_computed, cohort.name = None, None, "Renamed"

    listed = amplitude.get("/api/3/cohorts?includeSyncInfo=true").json()["cohorts"][0]

    assert (listed["size"], listed["lastComputed"], listed["name"]) == (None, None, "Renamed")
    assert listed["syncMetadata"] == []


def test_an_export_runs_its_course(sandbox: Sandbox, amplitude: Any) -> None:
    """Requested 202, polled 202 and then 200, downloaded 200: every field quoted, lines end in LF."""
    requested = amplitude.request()
    request_id = requested.json()["request_id"]
    assert requested.status_code == 202
    assert requested.json()["cohort_id"] == "26umsb5"
    assert amplitude.file(request_id).status_code == 400  # not complete yet

    polls = [amplitude.status(request_id) for _ in range(3)]
    assert [poll.status_code for poll in polls] == [202, 200, 200]
    assert [poll.json()["async_status"] for poll in polls[:2]] == ["JOB INPROGRESS", "JOB COMPLETED"]

    file = amplitude.file(request_id)
    assert file.status_code == 200
    assert file.text.splitlines()[:2] == ['"amplitude_id","user_id"', '"356896327775","ann"']
    assert file.text.endswith('"007"\n')
    assert sandbox.amplitude.exports_spent == 1


def test_the_membership_is_that_of_the_request(sandbox: Sandbox, amplitude: Any) -> None:
    """Users who move after the export was requested are not in its file, but in the next one's."""
    request_id = amplitude.complete()
    sandbox.amplitude.cohorts["26umsb5"].user_ids[:] = ["cat"]

    assert [row[1] for row in rows_of(amplitude.file(request_id).text)[1:]] == ["ann", "bob", "007"]
    assert [row[1] for row in rows_of(amplitude.file(amplitude.complete()).text)[1:]] == ["cat"]


def test_hazardous_user_ids_arrive_to_the_last_character(sandbox: Sandbox, amplitude: Any) -> None:
    """Quotes, commas, line breaks, white space and both forms of é come through; anonymous ones are empty."""
    hazards = [
        'the "boss"',
        "a,b",
        "line\nbreak",
        "line\r\nbreak",
        " edge ",
        "caf\u00e9",
        "cafe\u0301",
        "NULL",
        "007",
    ]
    cohort = sandbox.amplitude.cohorts["26umsb5"]
    cohort.user_ids, cohort.anonymous, cohort.duplicates = hazards, 2, 3

    file = amplitude.file(amplitude.complete())
    rows = rows_of(file.content.decode())[1:]

    assert [row[1] for row in rows] == ["", "", *hazards, *hazards[:3]]
    assert len({row[0] for row in rows}) == len(rows)  # each row has an Amplitude ID of its own


def test_properties_are_columns_only_with_props(amplitude: Any) -> None:
    """The propKeys add columns together with props=1, and do nothing alone."""
    with_props = amplitude.file(amplitude.complete(query="?props=1&propKeys=plan&propKeys=tags")).text
    without = amplitude.file(amplitude.complete(query="?propKeys=plan")).text

    assert rows_of(with_props)[0] == ["amplitude_id", "user_id", "plan", "tags"]
    assert rows_of(without)[0] == ["amplitude_id", "user_id"]


def test_a_cohort_of_groups_exports_tabbed_groups(sandbox: Sandbox, amplitude: Any) -> None:
    """Groups come without user IDs, header and values prefixed with a tab."""
    sandbox.amplitude.cohorts["4wq8nt2r"] = SandboxCohort("4wq8nt2r", "Accounts", ["acme"], group_type="Account")

    assert amplitude.file(amplitude.complete("4wq8nt2r")).text == '"\tgroup_value"\n"\tacme"\n'


def test_a_file_can_be_compressed(sandbox: Sandbox, amplitude: Any) -> None:
    """With gzip the file is sent compressed and says so, inline and from storage."""
    cohort = sandbox.amplitude.cohorts["26umsb5"]
    cohort.gzip = True
    inline = amplitude.file(amplitude.complete())
    cohort.delivery = "storage"
    stored = requests.get(amplitude.file(amplitude.complete()).headers["Location"], timeout=20)

    for answer in (inline, stored):
        assert answer.headers["Content-Encoding"] == "gzip"
        assert len(rows_of(answer.text)) == 4


def test_raw_bytes_are_served_exactly(sandbox: Sandbox, amplitude: Any) -> None:
    """A raw file is sent as it is, compressed or not, and only named compressed where the cohort says so."""
    raw = gzip.compress(b"not a cohort file")
    cohort = sandbox.amplitude.cohorts["26umsb5"]
    cohort.raw_file = raw
    answer = amplitude.file(amplitude.complete())
    assert answer.content == raw
    assert "Content-Encoding" not in answer.headers

    cohort.gzip = True
    assert amplitude.file(amplitude.complete()).content == b"not a cohort file"


def test_a_large_file_comes_through_a_link_of_one_minute(sandbox: Sandbox, amplitude: Any, clock: Any) -> None:
    """The link answers for a minute, then 403; the same request gives a new one without another export."""
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage"
    request_id = amplitude.complete()
    redirect = amplitude.file(request_id)
    link = redirect.headers["Location"]
    assert redirect.status_code == 302
    assert link.startswith(sandbox.url + "/storage/")
    assert len(rows_of(requests.get(link, timeout=20).text)) == 4

    clock.pass_by(61)
    expired = requests.get(link, timeout=20)
    assert expired.status_code == 403
    assert "Request has expired" in expired.text
    assert requests.get(amplitude.file(request_id).headers["Location"], timeout=20).status_code == 200
    assert sandbox.amplitude.exports_spent == 1


def test_storage_refuses_amplitudes_credentials(sandbox: Sandbox, amplitude: Any) -> None:
    """A link that is asked with an Authorization header answers 400, as S3 does with two auth mechanisms."""
    sandbox.amplitude.cohorts["26umsb5"].delivery = "storage"
    link = amplitude.file(amplitude.complete()).headers["Location"]

    refused = requests.get(link, auth=("any", "thing"), timeout=20)

    assert refused.status_code == 400
    assert "Only one auth mechanism allowed" in refused.text


def test_an_unknown_link_is_refused(sandbox: Sandbox) -> None:
    """A storage link that was never given is answered 403."""
    assert requests.get(sandbox.url + "/storage/nothing/cohort.csv", timeout=20).status_code == 403


def test_an_export_is_forgotten_after_seven_days(amplitude: Any, clock: Any) -> None:
    """Status and file answer for seven days, then 404."""
    request_id = amplitude.complete()
    clock.pass_by(7 * 24 * 3600 - 1)
    assert amplitude.file(request_id).status_code == 200

    clock.pass_by(2)
    assert amplitude.file(request_id).status_code == 404
    assert amplitude.status(request_id).status_code == 404


@pytest.mark.parametrize(("cohort_id", "status"), [("unknown", 404), ("archived", 400)])
def test_a_cohort_that_cannot_be_exported_costs_nothing(
    sandbox: Sandbox, amplitude: Any, cohort_id: str, status: int
) -> None:
    """An unknown or archived cohort is answered with an error, and no export is spent."""
    sandbox.amplitude.cohorts["archived"] = SandboxCohort("archived", "Archived", ["ann"], archived=True)

    refused = amplitude.request(cohort_id)

    assert refused.status_code == status
    assert refused.json()["error"]["http_code"] == status
    assert sandbox.amplitude.exports_spent == 0
