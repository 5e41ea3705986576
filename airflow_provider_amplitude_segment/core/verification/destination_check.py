"""Verify one destination: counts, suppressed users, a sample of users, the files, and the healing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.engine_file import write_csv
from airflow_provider_amplitude_segment.core.engine.scratch import make_scratch
from airflow_provider_amplitude_segment.core.ledger.object_names import mismatched_file
from airflow_provider_amplitude_segment.core.ledger.stream import fingerprint
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.verification.committed_state import (
    load_changes,
    load_snapshot,
    raise_if_newer,
)
from airflow_provider_amplitude_segment.core.verification.count_check import count_delivery
from airflow_provider_amplitude_segment.core.verification.healing import MISMATCHED, heal
from airflow_provider_amplitude_segment.core.verification.profile_check import ProfileCheck, check_profiles
from airflow_provider_amplitude_segment.core.verification.profile_requests import ProfileRequests
from airflow_provider_amplitude_segment.core.verification.sample import StateFile
from airflow_provider_amplitude_segment.core.verification.sample_parts import SamplePart, bound_of_all, count_part
from airflow_provider_amplitude_segment.core.verification.verify_summary import doubts_of_counts
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    NewerSyncError,
    SegmentApiError,
    SegmentApiUnavailableError,
    SourceDisabledError,
    UnsentUsersError,
    WriteKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.verification.committed_state import CommittedState
    from airflow_provider_amplitude_segment.core.verification.ports import SegmentApis, VerifyPorts
    from airflow_provider_amplitude_segment.core.verification.sample import Sample
    from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination

log = logging.getLogger(__name__)

_FEWEST_FOR_A_FAULT = 10
"""Users without a readable one among them that are the API's fault; fewer may be so by themselves."""


@dataclass(slots=True)
class DestinationCheck:
    """The verification of one destination. Used once.

    Attributes:
        state: the commit to verify.
        settings: of the verification.
        run: whose try this is.
        ports: what is outside of core.
        report: correct at any time, also after an error.
        note: called with each newer report.
    """

    state: CommittedState
    settings: VerifySettings
    run: Run
    ports: VerifyPorts
    report: VerifiedDestination
    note: Callable[[VerifiedDestination], None]

    def verify(self, scratch: Path) -> None:
        """Verify; the counts are asked first, and a fault of the Public API does not keep the users from being asked.

        Raises:
            AmplitudeSegmentError: the first fault; ``report`` has what is known.
        """
        make_scratch(scratch)
        with self.ports.engine.connect() as engine:
            state = StateFile(
                engine,
                load_snapshot(self.state, scratch / "state.parquet"),
                load_changes(self.state, scratch / "changes.parquet"),
            )
            self._raise_if_unsent(state)
            fault, suppressed_known = self._ask_public_api(state)
            if self._apis.profile is not None:
                sample = state.draw(self.settings.sample_size, self._seed, self.state.commit.trait)
                check = ProfileCheck(sample.pairs)
                try:
                    self._ask_profiles(check, state)
                    if not suppressed_known:
                        # Some of them may be suppressed users.
                        check.drop_mismatches()
                finally:
                    self._report_sample(check, sample)
                try:
                    self._keep_mismatched(check, engine, scratch)
                except AmplitudeSegmentError:
                    self._drop_if_newer(check, sample)
                    raise
            if fault is not None:
                raise fault

    def _raise_if_unsent(self, state: StateFile) -> None:
        """Raise where a healing or a rollback set users in doubt, and no sync has sent them since.

        The ledger promises nothing about them, so a verification of the others would look clean.
        """
        in_doubt, unsent = state.count_in_doubt()
        self._set(replace(self.report, in_doubt=in_doubt))
        commit = self.state.commit
        if unsent and commit.delivered_generation != commit.generation:
            raise UnsentUsersError(self.report.segment_conn_id, commit.generation, unsent)

    @property
    def _apis(self) -> SegmentApis:
        return self.ports.apis[self.state.stream.destination]

    @property
    def _seed(self) -> str:
        return fingerprint([self.run.key, self.state.commit.generation])

    def _set(self, report: VerifiedDestination) -> None:
        self.report = report
        self.note(report)

    def _ask_public_api(self, state: StateFile) -> tuple[AmplitudeSegmentError | None, bool]:
        """Count the delivery and the suppressed users.

        Returns:
            The fault that kept one of the two from being known, and whether the suppressed users are known.
        """
        public, now = self._apis.public, self.ports.clock.now()
        fault: AmplitudeSegmentError | None = None
        delivery = self.state.last_delivery
        if delivery is not None:
            self._set(replace(self.report, acknowledged=delivery.acknowledged))
        try:
            self._set(count_delivery(self._apis, self.state.stream.destination, delivery, self.report, now))
        except (SegmentApiError, WriteKeyError, SourceDisabledError) as error:
            log.warning("%s: the counts are not known: %s", self.report.segment_conn_id, error.happened)
            fault = error
        for doubt in doubts_of_counts(self.report):
            log.warning("%s: %s", self.report.segment_conn_id, doubt)
        suppressed_known = True
        try:
            state.load_suppressed(public.suppressed_users())
        except SegmentApiError as error:
            log.warning("%s: the suppressed users are not known: %s", self.report.segment_conn_id, error.happened)
            fault, suppressed_known = fault or error, False
            state.load_suppressed([])
        members, suppressed = state.count_members(self.state.commit.trait)
        self._set(replace(self.report, members=members, suppressed_members=suppressed if suppressed_known else None))
        return fault, suppressed_known

    def _ask_profiles(self, check: ProfileCheck, state: StateFile) -> None:
        label, total = self.report.segment_conn_id, len(check.pairs)
        profile, ports = self._apis.profile, self.ports
        assert profile is not None  # noqa: S101 - the caller has checked it
        requests = ProfileRequests(label, self._apis.conn_id, ports.clock, ports.random_source, ports.stop, ports.pacer)

        def show(known: int) -> None:
            ports.show({"destination": label, "asked": known, "sampled": total})

        show(0)
        log.info("%s: asking Segment for %s users of the ledger", label, f"{total:,}")
        check_profiles(check, profile, requests, state, (self.settings.recheck_seconds, show))
        try:
            raise_if_newer(self.state)
        except NewerSyncError:
            if not check.mismatched:
                # The other users match by what the newer sync left alone.
                return
            check.drop_mismatches()
            raise
        answered = check.count()
        asked = total - answered["suppressed"]
        if asked >= _FEWEST_FOR_A_FAULT and answered["unreadable"] == asked:
            # Then it is not about single user IDs.
            raise SegmentApiUnavailableError(
                self._apis.conn_id, "what a profile has", check.unreadable_status, f"for none of {asked:,} users"
            )

    def _report_sample(self, check: ProfileCheck, sample: Sample) -> None:
        """Put the verdicts into the report, also where some are missing."""
        counts, pairs = check.count(), list(enumerate(check.pairs))
        plan = count_part(check, (n for n, pair in pairs if pair.in_plan), is_whole=sample.has_plan)
        members = count_part(
            check, (n for n, pair in pairs if pair.in_state and pair.is_member), is_whole=sample.has_members
        )
        others = count_part(
            check, (n for n, pair in pairs if pair.in_state and not pair.is_member), is_whole=sample.has_others
        )
        state = SamplePart(members.matched + others.matched, members.mismatches + others.mismatches)
        self._set(
            replace(
                self.report,
                sampled=len(pairs),
                matched=counts["matched"],
                different=counts["different"],
                absent=counts["absent"],
                suppressed=counts["suppressed"],
                shares_profile=counts["shares_profile"],
                unreadable=counts["unreadable"],
                unanswered=len(pairs) - len(check.verdicts),
                mismatches=counts["different"] + counts["absent"],
                ratio=state.ratio,
                upper_bound=bound_of_all([(members, sample.members), (others, sample.others)]),
                state_compared=state.compared,
                state_mismatches=state.mismatches,
                member_compared=members.compared,
                member_mismatches=members.mismatches,
                member_upper_bound=members.bound(),
                plan_compared=plan.compared,
                plan_mismatches=plan.mismatches,
                plan_upper_bound=plan.bound(),
            )
        )

    def _keep_mismatched(self, check: ProfileCheck, engine: duckdb.DuckDBPyConnection, scratch: Path) -> None:
        """Write the file with the mismatched users, and heal them where the settings say so.

        Raises:
            NewerSyncError: a sync changed the ledger meanwhile, so the mismatches may be its changes.
        """
        numbers = check.mismatched
        if not numbers:
            return
        raise_if_newer(self.state)
        pairs = [check.pairs[number] for number in numbers]
        engine.execute(
            f"""CREATE OR REPLACE TEMP TABLE {MISMATCHED} AS
                SELECT unnest($1::VARCHAR[]) AS user_id, unnest($2::VARCHAR[]) AS trait,
                       unnest($3::BOOLEAN[]) AS value, unnest($4::VARCHAR[]) AS found,
                       unnest($5::VARCHAR[]) AS verdict""",
            [
                [pair.user_id for pair in pairs],
                [pair.trait for pair in pairs],
                [pair.value for pair in pairs],
                [check.found[number] for number in numbers],
                [check.verdicts[number] for number in numbers],
            ],
        )
        self._store_mismatched(engine, scratch / "mismatched.csv")
        if self.settings.heal:
            ports = MaintenancePorts(self.ports.store, self.run, self.ports.clock, scratch)
            healed = heal(engine, self.state, scratch / "state.parquet", ports)
            log.info("%s: set %s users in doubt; the next sync sends them", self.report.segment_conn_id, f"{healed:,}")
            self._set(replace(self.report, healed=healed))

    def _drop_if_newer(self, check: ProfileCheck, sample: Sample) -> None:
        """Take the mismatches and their file back where a newer sync may have made, or repaired, them.

        Raises:
            NewerSyncError: it is so.
        """
        try:
            raise_if_newer(self.state)
        except NewerSyncError:
            check.drop_mismatches()
            self.state.ledger.delete(mismatched_file(self.state.commit.generation))
            self.report = replace(self.report, mismatched_users=None)
            self._report_sample(check, sample)
            raise

    def _store_mismatched(self, engine: duckdb.DuckDBPyConnection, file: Path) -> None:
        ledger, name = self.state.ledger, mismatched_file(self.state.commit.generation)
        engine.execute(write_csv(f"FROM {MISMATCHED} ORDER BY user_id, trait", file))
        place = ledger.store_side_file(name, file)
        try:
            raise_if_newer(self.state)
        except NewerSyncError:
            # An erasure may have run meanwhile, and would not find what is written after it.
            ledger.delete(name)
            raise
        self._set(replace(self.report, mismatched_users=place))
