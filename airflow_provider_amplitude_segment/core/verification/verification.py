"""Verify what Segment has of one cohort, at one or more destinations, against the ledger.

find the ledgers → read the newest commit of each, without a claim → wait until Segment has settled
→ each destination by itself: counts, suppressed users, a sample of users, files, healing → report, errors
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_cohort_streams
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.report import error_text
from airflow_provider_amplitude_segment.core.verification.committed_state import read_committed
from airflow_provider_amplitude_segment.core.verification.destination_check import DestinationCheck
from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    MismatchError,
    StatePathError,
    VerificationStoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.verification.committed_state import CommittedState
    from airflow_provider_amplitude_segment.core.verification.ports import VerifyPorts
    from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Segment may still process the last messages.

    Attributes:
        seconds: how long to wait.
    """

    seconds: float


class CohortVerification:
    """One verification by one run's try. Used once."""

    def __init__(self, settings: VerifySettings, run: Run, ports: VerifyPorts) -> None:
        """Prepare a verification; nothing is read or asked yet.

        Args:
            settings: checked.
            run: whose try this is; it seeds the sample.
            ports: what is outside of core.
        """
        self._settings = settings
        self._run = run
        self._ports = ports
        self.report = VerifyReport(settings.cohort_id, settings.sample_size, settings.max_mismatch_ratio)
        """What is known; correct at any time, also after an error."""

    def run(self, *, waits: bool = True, is_settled: bool = False) -> VerifyReport | Unsettled:
        """Verify, and return the report.

        Args:
            waits: whether to wait here until Segment has settled; else ``Unsettled`` is returned.
            is_settled: whether that was waited for already, whatever this worker's clock says.

        Raises:
            StateMarkError, LedgerNotFoundError, SettingError: as in a retirement.
            MismatchError: a destination has more mismatches than ``max_mismatch_ratio``.
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` has what is known.
        """
        ports = self._ports
        for destination in ports.apis:
            self._note(VerifiedDestination(destination.segment_conn_id, destination.name))
        try:
            states = self._read_states()
            if seconds := 0.0 if is_settled else self._unsettled_seconds(states):
                if not waits:
                    return Unsettled(seconds)
                log.info("Waiting %.0f s until Segment has processed the last messages", seconds)
                if ports.clock.wait(seconds, ports.stop):
                    raise VerificationStoppedError(states[0].stream.destination.segment_conn_id)
        except AmplitudeSegmentError as error:
            for report in self.report.destinations:
                self._note(replace(report, error=error_text(error)))
            raise
        try:
            found = {state.stream.destination.name: self._verify(number, state) for number, state in enumerate(states)}
        except VerificationStoppedError as error:
            # A retry would not find the mismatches that were healed before the stop.
            self._raise_for_mismatches({})
            healed = sum(report.healed for report in self.report.destinations)
            raise VerificationStoppedError(error.segment_conn_id, healed) from None
        faults = {name: fault for name, fault in found.items() if fault is not None}
        self._raise_for_mismatches(faults)
        if faults:
            raise next(iter(faults.values()))
        return self.report

    def _read_states(self) -> list[CommittedState]:
        store, settings = self._ports.store, self._settings
        require_mark(store)
        streams = find_cohort_streams(store, settings.cohort_id, tuple(self._ports.apis), settings.app_id)
        states = [read_committed(store, stream, self._ports.clock.now()) for stream in streams]
        for state in states:
            report = self._report_of(state)
            commit = state.commit
            self._note(replace(report, trait=commit.trait, generation=commit.generation, committed_at=commit.timestamp))
        return states

    def _unsettled_seconds(self, states: Sequence[CommittedState]) -> float:
        """Return how long to wait: at most ``settle_seconds``, because a worker's clock may be wrong."""
        settled_at = max(state.settles_from for state in states) + self._settings.settle_seconds
        return min(max(0.0, settled_at - self._ports.clock.now()), self._settings.settle_seconds)

    def _verify(self, number: int, state: CommittedState) -> AmplitudeSegmentError | None:
        """Verify one destination; return what ended it early."""
        label = state.stream.destination.segment_conn_id
        check = DestinationCheck(state, self._settings, self._run, self._ports, self._report_of(state), self._note)
        self._ports.show({"step": f"Verify {label}"})
        fault = None
        try:
            with log_group(f"Verify {label}"):
                check.verify(self._ports.scratch / f"verified-{number}")
        except VerificationStoppedError as error:
            self._note(replace(self._report_of(state), error=error_text(error)))
            raise
        except AmplitudeSegmentError as error:
            fault = error
            self._note(replace(self._report_of(state), error=error_text(error)))
        try:
            state.ledger.put_verify_report(state.commit.generation, self.report.as_dict())
        except StatePathError as error:
            log.warning("The report could not be saved: %s", error.happened)
        return fault

    def _report_of(self, state: CommittedState) -> VerifiedDestination:
        name = state.stream.destination.name
        return next(report for report in self.report.destinations if report.destination == name)

    def _note(self, report: VerifiedDestination) -> None:
        self.report = self.report.with_destination(report)

    def _raise_for_mismatches(self, faults: Mapping[str, AmplitudeSegmentError]) -> None:
        """Raise for the destination with the highest ratio of a part, if that is above the limit.

        Where a fault kept one from being healed, and a retry may heal it, that fault is raised.

        Args:
            faults: by destination, what ended its verification early.
        """
        settings = self._settings
        above = [report for report in self.report.destinations if report.worst_ratio > settings.max_mismatch_ratio]
        for report in above:
            fault = faults.get(report.destination)
            if settings.heal and not report.healed and fault is not None and fault.retryable:
                raise fault
        if above:
            worst = max(above, key=lambda report: report.worst_ratio)
            raise MismatchError(
                worst.segment_conn_id,
                *worst.worst_part,
                settings.max_mismatch_ratio,
                worst.healed,
                worst.mismatched_users or "",
                was_to_heal=settings.heal,
            )
