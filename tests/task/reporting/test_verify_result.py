"""A verification's report, summary, metrics and lineage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Stats
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from fakes.task_instance import FakeTaskInstance

from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport
from airflow_provider_amplitude_segment.exceptions import MismatchError, NewerSyncError
from airflow_provider_amplitude_segment.operators.verify import SegmentCohortVerifyOperator
from airflow_provider_amplitude_segment.task.reporting.verify_result import publish_verification

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox

PART = VerifiedDestination(
    "segment_default",
    "dst-1",
    trait="Power Users (c1)",
    generation=3,
    members=900,
    suppressed_members=4,
    sampled=100,
    matched=95,
    absent=2,
    suppressed=1,
    unanswered=2,
    mismatches=2,
    ratio=2 / 97,
    upper_bound=0.0643,
    state_compared=97,
    state_mismatches=2,
    source_id="source-1",
    acknowledged=21,
    received=30,
    failed={"no_user_anon_id": 1},
    filtered={},
    healed=2,
    mismatched_users="/state/verification/3.csv",
)
REPORT = VerifyReport("c1", 100, 0.01, (PART,))


class Counted:
    """A backend of Airflow's metrics that keeps what it gets."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def incr(self, stat: str, count: int = 1, **_: Any) -> None:
        self.found[stat.removeprefix("amplitude_segment.")] = count

    def gauge(self, stat: str, value: float, **_: Any) -> None:
        self.found[stat.removeprefix("amplitude_segment.")] = value


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(Stats, "incr", counted.incr, raising=False)
    monkeypatch.setattr(Stats, "gauge", counted.gauge, raising=False)
    return counted


@pytest.fixture
def operator() -> SegmentCohortVerifyOperator:
    return SegmentCohortVerifyOperator(task_id="verify", cohort_id="c1")


def test_the_summary_says_in_a_few_lines_what_is_known(
    operator: SegmentCohortVerifyOperator, caplog: pytest.LogCaptureFixture, counted: Counted
) -> None:
    caplog.set_level(logging.INFO)
    ti = FakeTaskInstance()

    publish_verification(operator, ti, REPORT, MismatchError("segment_default", 2, 97, 0.01, 2))

    ending, users, counts, warning, left = (record.message for record in caplog.records)
    assert ending == "Summary: FAILED: Segment differs from the ledger. See the error below."
    assert users == (
        "- segment_default: 95 of 100 users match, 2 absent, 1 suppressed by Segment, 2 without a response; "
        "at most 6.43% of all users differ (95 %), without those who are suppressed"
    )
    assert counts == (
        "- segment_default: Segment acknowledged 21 identifies, and received 30 of all senders, 1 failed on ingest "
        "(no_user_anon_id: 1); Segment suppresses 4 of 900 members"
    )
    assert warning == "- segment_default: WARNING: Segment dropped 1 identifies of the source"
    assert left == (
        "- segment_default: the users are listed in /state/verification/3.csv; 2 users are in doubt, and the next sync "
        "sends them"
    )
    assert ti.xcoms == {"verify_report": REPORT.as_dict()}
    assert counted.found == {
        "verifications_failed": 1,
        "verify_sampled": 100,
        "verify_mismatches": 2,
        "verify_mismatch_ratio": 2 / 97,
        "verify_suppressed": 4,
        "healed": 2,
    }


@pytest.mark.parametrize(
    ("error", "said"),
    [(None, "done."), (NewerSyncError("a", 1, 2), "A retry verifies again."), (KeyError("x"), "A retry verifies")],
)
def test_the_summary_says_whether_a_retry_helps(
    operator: SegmentCohortVerifyOperator,
    caplog: pytest.LogCaptureFixture,
    counted: Counted,
    error: Exception | None,
    said: str,
) -> None:
    caplog.set_level(logging.INFO)

    publish_verification(operator, FakeTaskInstance(), VerifyReport("c1", 1, 0.0), error)

    assert said in caplog.records[0].message
    assert counted.found == {f"verifications_{'failed' if error else 'succeeded'}": 1}


def test_a_destination_that_was_not_asked_has_no_gauges(
    operator: SegmentCohortVerifyOperator, counted: Counted
) -> None:
    report = VerifyReport("c1", 1, 0.0, (VerifiedDestination("segment_default", "dst-1"),))

    publish_verification(operator, FakeTaskInstance(), report)

    assert counted.found == {"verifications_succeeded": 1}


@pytest.mark.usefixtures("counted")
def test_lineage_has_the_trait_as_input_with_the_assertion(
    sandbox: Sandbox, operator: SegmentCohortVerifyOperator
) -> None:
    ti = FakeTaskInstance()
    publish_verification(operator, ti, REPORT)

    lineage = DefaultExtractor(operator).extract_on_complete(ti)

    assert lineage is not None
    (dataset,) = lineage.inputs
    assert dataset.name.endswith("/Power Users (c1)")
    assert dataset.namespace == f"segment://{sandbox.url.removeprefix('http://')}"
    (assertion,) = dataset.inputFacets["dataQualityAssertions"].assertions
    assert (assertion.success, assertion.column) == (False, "traits.Power Users (c1)")


def test_a_task_that_never_began_has_no_input(operator: SegmentCohortVerifyOperator) -> None:
    lineage = DefaultExtractor(operator).extract_on_failure(FakeTaskInstance())

    assert lineage is None or lineage.inputs == []
