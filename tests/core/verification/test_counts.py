"""What the Public API shows of a delivery is said, also where no user can be asked for."""

import logging
from typing import TYPE_CHECKING

import pytest

from airflow_provider_amplitude_segment.core.verification.verify_summary import summarize_verification
from airflow_provider_amplitude_segment.exceptions import SourceDisabledError, WriteKeyError

if TYPE_CHECKING:
    # The fixtures' class; conftest modules have no name to import at run time.
    from typing import Any as Proof


def said(proof: "Proof", caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """Verify; return the log's warnings, and the summary's."""
    with caplog.at_level(logging.WARNING):
        proof.verify()
    lines = summarize_verification(proof.last.report, ending="done.")
    logged = " ".join(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    return logged, " ".join(line for line in lines if "WARNING" in line)


def test_fewer_received_than_acknowledged_is_a_warning(proof: "Proof", caplog: pytest.LogCaptureFixture) -> None:
    proof.spaces.clear()
    proof.sync("ann", "bob")
    proof.world.segment.taken_at.pop()

    for text in said(proof, caplog):
        assert "Segment received 1 fewer identifies than it acknowledged" in text


def test_dropped_identifies_are_a_warning(proof: "Proof", caplog: pytest.LogCaptureFixture) -> None:
    proof.spaces.clear()
    proof.public.filtered, proof.public.failed = {"unplanned": 2}, {"bad_request": 1}
    proof.sync("ann", "bob")

    for text in said(proof, caplog):
        assert "Segment dropped 3 identifies of the source" in text


def test_keys_that_the_token_may_not_see_are_a_warning(proof: "Proof", caplog: pytest.LogCaptureFixture) -> None:
    proof.spaces.clear()
    proof.public.shows_keys = False
    proof.sync("ann")

    logged, summary = said(proof, caplog)

    assert "may not see the write keys of workspace 'acme'" in logged
    assert "no source shows the write key" in summary


def test_clean_counts_are_no_warning(proof: "Proof", caplog: pytest.LogCaptureFixture) -> None:
    proof.sync("ann")

    assert said(proof, caplog) == ("", "")


def test_a_key_of_no_source_fails_the_task_and_the_users_are_asked_for_all_the_same(proof: "Proof") -> None:
    proof.sync("ann")
    proof.public.keys = ("other",)

    with pytest.raises(WriteKeyError) as failed:
        proof.prepare().run()

    assert (failed.value.retryable, proof.report.matched, proof.report.acknowledged) == (False, 1, 1)
    assert "belongs to no source" in (proof.report.error or "")


def test_a_disabled_source_fails_the_task_without_a_space(proof: "Proof") -> None:
    proof.spaces.clear()
    proof.sync("ann")
    proof.public.enabled = False

    with pytest.raises(SourceDisabledError):
        proof.prepare().run()
