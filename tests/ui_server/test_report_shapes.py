"""A report of any age is read, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport
from airflow_provider_amplitude_segment.ui.report_shapes import (
    ShownDestination,
    ShownReport,
    ShownVerifiedDestination,
    read_report,
    read_verification,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["cohort_id", "destinations"]), inner),
)
NAMES = [one.name for shape in (ShownReport, ShownDestination, ShownVerifiedDestination) for one in fields(shape)]


def test_a_report_of_this_version_is_read_whole() -> None:
    part = DestinationReport("segment_default", "d1", "changes", entered=3, known=9, seconds=1.5, committed=True)
    whole = SyncReport("c1", "Everyone", members=9, destinations=(part,)).as_dict()
    read = read_report(json.loads(json.dumps(whole)))
    assert read is not None
    assert {name: value for name, value in asdict(read).items() if name in whole and name != "destinations"} == {
        name: value for name, value in whole.items() if name != "destinations"
    }
    shown = asdict(read.destinations[0])
    assert {name: value for name, value in shown.items() if name in whole["destinations"][0]} == whole["destinations"][
        0
    ]


def test_a_verification_of_this_version_is_read() -> None:
    part = VerifiedDestination("segment_default", "d1", matched=9, ratio=0.25, failed={"Blocked": 1})
    read = read_verification(VerifyReport("c1", 10, 0.5, (part,)).as_dict())
    assert read is not None
    assert (read.sample_size, read.max_mismatch_ratio) == (10, 0.5)
    [shown] = read.destinations
    assert (shown.matched, shown.ratio, shown.failed, shown.filtered) == (9, 0.25, {"Blocked": 1}, None)


def test_a_report_of_the_first_version_has_no_more_than_a_cohort_and_names() -> None:
    read = read_report({"cohort_id": "c1", "destinations": [{"segment_conn_id": "s"}]})
    assert read is not None
    [part] = read.destinations
    assert (part.destination, part.entered, part.known, part.committed, part.approved_by) == ("s", 0, None, False, None)


def test_a_long_text_is_cut() -> None:
    read = read_report({"cohort_id": "c1", "destinations": [{"segment_conn_id": "s", "error": "x" * 1_000_000}]})
    assert read is not None
    assert len(read.destinations[0].error or "") == 4_001


@given(JSON, st.dictionaries(st.sampled_from(NAMES), JSON))
def test_no_value_of_json_is_an_error(value: object, part: dict[str, object]) -> None:
    for read in (read_report, read_verification):
        read(value)
        shown = read({**part, "cohort_id": "c1", "destinations": [part, value]})
        assert shown is not None
        json.dumps(asdict(shown), allow_nan=False)
