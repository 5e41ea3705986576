"""Carry one try of a sync or a retirement, from its claims to its report."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.delivery.fan_out import deliver_all, plan_destination_syncs
from airflow_provider_amplitude_segment.core.disk_space import stating_room
from airflow_provider_amplitude_segment.core.engine.scratch import make_scratch
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    delete_checkpoint,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.ledger_clock import warn_of_clocks
from airflow_provider_amplitude_segment.core.plan.draft import (
    NewDraft,
    OpenedStream,
    is_unfinished_plan_of,
)
from airflow_provider_amplitude_segment.core.plan.missing_state import check_state
from airflow_provider_amplitude_segment.core.plan.planned_list import list_planned
from airflow_provider_amplitude_segment.core.proof.write_keys import WriteKeyProofs, prove_write_keys
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.report import (
    DestinationReport,
    SyncReport,
    complete_report,
    run_facts,
    save_report,
)
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    ClaimLostError,
    StatePathError,
    StateUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan, PlanMode
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Stream
    from airflow_provider_amplitude_segment.core.plan.draft import Draft
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


class SyncSession:
    """One try of one run at one cohort. Used once.

    ``report`` grows during the try, and is correct at any time, also after an error. ``report_at_start`` is the report
    when this try began to work, with what earlier tries of the run delivered. ``streams`` and ``held_claims`` are set
    by ``claimed``, ``ledgers`` and ``newest`` by ``read_ledgers``, and ``checkpoint`` when the export is known.
    """

    held_claims: HeldClaims
    checkpoint: RunCheckpoint

    def __init__(
        self, settings: SyncSettings, run: Run, ports: DeliveryPorts, mode: PlanMode, recorded: Mapping[str, int]
    ) -> None:
        """Prepare a try; nothing is read or sent yet.

        Args:
            settings: checked.
            run: whose try this is.
            ports: what is outside of core.
            mode: what the report shows for a destination that the try did not reach.
            recorded: by the destination's name, the generation that an earlier sync left in an XCom.
        """
        self.settings = settings
        self.run = run
        self.ports = ports
        self.streams: tuple[Stream, ...] = ()
        self.ledgers: Mapping[Stream, Ledger] = MappingProxyType({})
        self.newest: Mapping[Stream, Plan | Commit | None] = MappingProxyType({})
        self.report = self.report_at_start = SyncReport(settings.cohort_id, dry_run=settings.dry_run)
        self.proofs = WriteKeyProofs()
        self._mode = mode
        self._recorded = recorded
        self._state_missing: frozenset[Stream] = frozenset()

    def prove_write_keys(self) -> None:
        """Prove the write keys by the Public API, and complete the destinations by what it knows of their sources.

        Call it before the streams are made, and before anything is spent.

        Raises:
            WriteKeyError, SourceDisabledError: Segment would drop every message behind a 200.
        """
        if not self.ports.public_apis:
            return
        with self.step("Prove the write keys"):
            self.proofs = prove_write_keys(self.ports, self.run)
        completed = self.proofs.complete_all(self.ports.segment_clients)
        if completed.keys() != self.ports.segment_clients.keys():
            self.ports.show_sources(tuple(completed))
        self.ports = replace(self.ports, segment_clients=completed)

    @contextmanager
    def claimed(self, streams: Sequence[Stream]) -> Iterator[None]:
        """Hold the claims of all streams, and save the report if an error ends the try.

        Raises:
            ClaimHeldError: another run holds one of them.
            StateUnavailableError: the state path failed while the claims were held.
        """
        self.streams = tuple(streams)
        above = {stream: self._recorded.get(stream.destination.name, 0) for stream in streams}
        with HeldClaims(self.ports.store, streams, self.run, self.ports.clock, above=above) as self.held_claims:
            try:
                with stating_room(lambda: self.ports.room_bytes):
                    yield
            except BaseException as error:
                self.save_reports(error)
                if isinstance(error, StatePathError):
                    raise StateUnavailableError(error.path, error.reason, error.advice) from error
                raise

    def read_ledgers(self) -> None:
        """Read the newest entry of each ledger; the claims are held.

        Raises:
            LedgerDamagedError, LedgerFormatError: an entry cannot be read.
        """
        self.ledgers = {stream: Ledger(self.ports.store, stream.folder) for stream in self.streams}
        self.newest = {stream: ledger.newest() for stream, ledger in self.ledgers.items()}

    def check_state(self) -> None:
        """Refuse the sync, or send in full, if Airflow recorded a sync that a ledger does not have.

        Raises:
            MissingStateError, ChangedKeyError: ``on_missing_state`` is ``fail``; nothing was sent.
        """
        now = self.ports.clock.now()
        warn_of_clocks(self.newest, now)
        self._state_missing = check_state(self.ports.store, self.newest, self._recorded, self.settings, now)

    def is_state_missing(self, stream: Stream) -> bool:
        """Return whether a stream is sent in full, because its state is missing."""
        return stream in self._state_missing

    def open_streams(self) -> list[OpenedStream]:
        """Return each destination that this run has not finished, each with its own scratch folder."""
        opened: list[OpenedStream] = []
        for stream in self.streams:
            if stream.folder in self.checkpoint.finished:
                continue
            scratch = self.ports.scratch / f"destination-{len(opened)}"
            make_scratch(scratch)
            is_missing = stream in self._state_missing
            opened.append(OpenedStream(stream, self.ledgers[stream], self.newest[stream], scratch, is_missing))
        return opened

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step of the try as progress, and fold its log lines."""
        self.ports.show({"step": title})
        with log_group(title):
            yield

    def deliver(self, drafts: Sequence[Draft]) -> None:
        """Deliver all drafts, and raise an error of a destination after all have ended.

        A retryable error is raised before one that is final. The checkpoint keeps the destinations that are committed
        while another is not.
        """
        with self.step("Send to Segment"):
            syncs = plan_destination_syncs(drafts, self.settings, self.held_claims, self.ports)
            reports = [self.report.destination(draft.opened.stream.destination.name) for draft in drafts]
            outcomes = deliver_all(syncs, reports, self.ports, self.note)
        errors = [outcome.error for outcome in outcomes if outcome.error is not None]
        if not errors:
            return
        if not any(isinstance(error, ClaimLostError) for error in errors):
            committed = {o.stream.folder: asdict(o.report) for o in outcomes if o.report.committed}
            self.keep(replace(self.checkpoint, finished={**self.checkpoint.finished, **committed}))
        # An error of another library may be transient, so it counts as retryable.
        raise min(errors, key=lambda error: isinstance(error, AmplitudeSegmentError) and not error.retryable)

    def list_planned(self, drafts: Sequence[Draft]) -> None:
        """Write the planned changes of a dry run, or of a sync that a guard stopped, as files for people."""
        with self.ports.engine.connect() as engine:
            for draft in drafts:
                # A dry run resumes nothing.
                if not isinstance(draft, NewDraft):
                    continue
                where = list_planned(engine, draft, self.run.key)
                report = self.report.destination(draft.opened.stream.destination.name)
                self.note(replace(report, planned_changes=where))
                log.info("%s changes planned, nothing sent: %s", f"{report.planned:,}", where)

    def note(self, report: DestinationReport) -> None:
        """Replace a destination's report with a newer one."""
        checked = self.proofs.source_checked(report.destination) or report.source_checked
        self.report = self.report.with_destination(replace(report, source_checked=checked))

    def keep(self, checkpoint: RunCheckpoint) -> None:
        """Write the run's checkpoint."""
        self.checkpoint = checkpoint
        write_checkpoint(self.ports.store, self.streams[0], self.run, checkpoint)

    def end(self, *, skipped: bool = False) -> None:
        """Save the reports and delete the checkpoint, so that a cleared task requests a new export.

        A dry run that was not skipped keeps the checkpoint if its run has an unfinished plan: a later try resumes it.
        """
        self.save_reports(None)
        is_unfinished = any(is_unfinished_plan_of(entry, self.run) for entry in self.newest.values())
        if skipped or not (self.settings.dry_run and is_unfinished):
            delete_checkpoint(self.ports.store, self.streams[0], self.run)

    def save_reports(self, error: BaseException | None, question: str | None = None) -> dict[str, int]:
        """Complete the report, and write it to each ledger whose claim is still held.

        Args:
            error: what ends the try; ``None`` for none.
            question: that a guard asks a person, as ``SavedReport`` has it; ``None`` where it does not.

        Returns:
            By ledger folder, the claim whose report was written.
        """
        self.complete_report(error)
        held = {s: self.held_claims.generation(s) for s in self.streams if self.held_claims.holds(s)}
        facts = run_facts(self.run, self.ports.clock.now(), error, question)
        save_report(self.ports.store, self.report, held, facts)
        return {stream.folder: claim for stream, claim in held.items()}

    def complete_report(self, error: BaseException | None) -> None:
        """Add each missing destination to the report, and the error to each that is not committed."""
        self.report = complete_report(self.report, tuple(self.ports.segment_clients), self._mode, error)
        for report in self.report.destinations:
            self.note(report)
