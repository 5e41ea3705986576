"""Deliver the plan of one destination, then commit the state after it.

The order of writes: plan (before), claims verified, batches and journal, snapshot, claims verified, commit. An error at
another destination has no effect here.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import DeliveryClock
from airflow_provider_amplitude_segment.core.delivery.batches import MAX_BATCH_MESSAGES, pack
from airflow_provider_amplitude_segment.core.delivery.delivery import FIRST_MESSAGES, Delivery
from airflow_provider_amplitude_segment.core.delivery.event_delivery import EventDelivery
from airflow_provider_amplitude_segment.core.delivery.identify import Envelope, identify_messages, plan_key
from airflow_provider_amplitude_segment.core.delivery.sender import BatchSender
from airflow_provider_amplitude_segment.core.delivery.track import PlanOf
from airflow_provider_amplitude_segment.core.engine.engine_file import parquet_rows, write_csv
from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy
from airflow_provider_amplitude_segment.core.ledger.entry import Commit
from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, rejected_file
from airflow_provider_amplitude_segment.core.ledger.pruning import keep_in_doubt, prune, purge
from airflow_provider_amplitude_segment.core.ledger.state import PlanFiles, count_known, fold
from airflow_provider_amplitude_segment.core.plan.draft import Draft, NewDraft, report_plan
from airflow_provider_amplitude_segment.core.report.progress import Progress
from airflow_provider_amplitude_segment.core.report.report import DestinationReport
from airflow_provider_amplitude_segment.exceptions import LedgerError, StatePathError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.delivery.batches import Batch, OversizedMessage
    from airflow_provider_amplitude_segment.core.delivery.delivery import Delivered
    from airflow_provider_amplitude_segment.core.delivery.identify import MessageChunk
    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.delivery.rate_limiter import RateLimiter
    from airflow_provider_amplitude_segment.core.ledger.entry import Journal, Plan
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DestinationSync:
    """The delivery and the commit of one destination's plan.

    Attributes:
        draft: of the plan.
        plan: as written to the ledger.
        rate_limiter: shared with the other destinations of its workspace.
        settings: of the sync.
        held_claims: of the run, with the one of this destination.
        ports: what is outside of core.
    """

    draft: Draft
    plan: Plan
    rate_limiter: RateLimiter
    settings: SyncSettings
    held_claims: HeldClaims
    ports: DeliveryPorts

    def deliver(self, report: DestinationReport) -> tuple[DestinationReport, Exception | None]:
        """Deliver what is pending, and commit after all is delivered.

        Returns:
            The destination's report, and the error that ended it early, or ``None``. The journal has what Segment
            acknowledged before the error, unless the journal could not be written.
        """
        try:
            return self._deliver(report)
        except StatePathError as error:
            return self.known(report), StateUnavailableError(error.path, error.reason, error.advice)
        except Exception as error:  # noqa: BLE001 - the other destinations continue
            return self.known(report), error

    def known(self, report: DestinationReport) -> DestinationReport:
        """Return the report by the ledger's newest entry; unchanged if the ledger cannot be read."""
        try:
            newest = self.draft.opened.ledger.newest()
            if isinstance(newest, Commit) and newest.generation == self.plan.generation:
                return DestinationReport(**newest.report)
            return report_plan(report, self.plan, self.draft.opened.ledger.journal(self.plan))
        except LedgerError:
            return report

    def _deliver(self, report: DestinationReport) -> tuple[DestinationReport, Exception | None]:
        ledger, plan = self.draft.opened.ledger, self.plan
        monitor = ClaimMonitor(lambda: self.held_claims.verify(self.draft.opened.stream), self.ports.clock)
        # Verify before reading, because a run that took over may have pruned the files. That is no damage.
        monitor.verify()
        changes = self._changes()
        journal = ledger.journal(plan)
        pending = journal.pending(plan.planned)
        log.info("%s: sending %s of %s changes", plan.segment_conn_id, f"{pending.count:,}", f"{plan.planned:,}")
        # Verify before pruning, because the files may be another run's by now.
        monitor.verify()
        prune(ledger, self.settings.keep_snapshots)
        clock = DeliveryClock(self.ports.clock, plan.timestamp)
        delivery = self._delivery(self._sender(monitor, clock), journal)
        with self.ports.engine.connect() as engine:
            delivered = delivery.run(self._batches(engine, changes, pending, delivery.sender.envelope, clock.moment))
            if plan.events is not None and delivered.error is None:
                delivered = self._deliver_events(engine, delivered, monitor, clock)
            report = self._report(report, delivered, delivery.progress.seconds)
            if delivered.error is None:
                report = self._commit(engine, report, monitor, delivered.journal, clock.moment)
                self._prune_or_purge(monitor)
        log.info(
            "%s: %s planned = %s acknowledged + %s rejected + %s pending; %.1f s, %s",
            plan.segment_conn_id,
            *(f"{n:,}" for n in (report.planned, report.acknowledged, report.rejected, report.pending)),
            report.seconds,
            "committed" if report.committed else "not committed",
        )
        return report, delivered.error

    def _deliver_events(
        self, engine: duckdb.DuckDBPyConnection, identifies: Delivered, monitor: ClaimMonitor, clock: DeliveryClock
    ) -> Delivered:
        """Deliver the plan's events after all of its identifies, and return how both ended."""
        events = EventDelivery(
            of=PlanOf(self.plan, self.draft.opened.stream),
            new_delivery=lambda: self._delivery(self._sender(monitor, clock), identifies.journal),
            pack=self._pack,
            timestamp=clock.moment,
        )
        return events.run(engine, self._changes(), self.draft.opened.scratch, identifies)

    def _delivery(self, sender: BatchSender, journal: Journal) -> Delivery:
        ledger, plan, ports = self.draft.opened.ledger, self.plan, self.ports
        done = plan.planned - journal.pending(plan.planned).count
        return Delivery(
            sender=sender,
            write_journal=lambda journal: ledger.write_journal(plan, self._claim, journal),
            planned=plan.planned,
            journal=journal,
            is_key_proved=self._is_key_proved(journal),
            workers=self.settings.max_concurrent_requests,
            stop=ports.stop,
            clock=ports.clock,
            progress=Progress(
                plan.segment_conn_id, done=done, planned=plan.planned, clock=ports.clock, show=ports.show
            ),
        )

    @property
    def _claim(self) -> int:
        return self.held_claims.generation(self.draft.opened.stream)

    def _sender(self, monitor: ClaimMonitor, clock: Clock) -> BatchSender:
        context = {**(self.settings.segment_context or {}), "integration": dict(self.ports.integration)}
        return BatchSender(
            label=self.plan.segment_conn_id,
            segment=self.ports.segment_clients[self.draft.opened.stream.destination],
            envelope=Envelope(context, self.settings.integrations),
            policy=RetryPolicy(),
            rate_limiter=self.rate_limiter,
            monitor=monitor,
            clock=clock,
            random_source=self.ports.random_source,
            halt=threading.Event(),
        )

    def _batches(
        self, engine: duckdb.DuckDBPyConnection, changes: Path, pending: Ranges, envelope: Envelope, moment: str
    ) -> Iterator[Batch | OversizedMessage]:
        stream = self.draft.opened.stream
        key = plan_key(stream.app_id, stream.cohort_id, stream.destination.name, self.plan.plan_id)
        return self._pack(identify_messages(engine, changes, pending, key=key, timestamp=moment), envelope)

    def _pack(self, messages: Iterator[MessageChunk], envelope: Envelope) -> Iterator[Batch | OversizedMessage]:
        limit = min(MAX_BATCH_MESSAGES, self.rate_limiter.batch_messages or MAX_BATCH_MESSAGES)
        envelope_bytes = envelope.size + self.ports.segment_clients[self.draft.opened.stream.destination].added_bytes
        return pack(messages, envelope_bytes=envelope_bytes, first_messages=FIRST_MESSAGES, max_messages=limit)

    def _is_key_proved(self, journal: Journal) -> bool:
        """Return whether Segment has acknowledged a batch with this write key before."""
        key = self.draft.opened.stream.destination.key_fingerprint
        return self.plan.proved_key == key or (journal.acked.count > 0 and self.plan.key_fingerprint == key)

    def _report(self, report: DestinationReport, delivered: Delivered, seconds: float) -> DestinationReport:
        return replace(
            report_plan(report, self.plan, delivered.journal),
            batches=delivered.batches,
            retries=delivered.retries,
            seconds=round(seconds, 3),
            error=str(delivered.error) if delivered.error else None,
        )

    def _changes(self) -> Path:
        """Return the plan's changes on the worker's disk, where a new plan was just made of them."""
        if isinstance(self.draft, NewDraft):
            return self.draft.diff.changes
        changes = self.draft.opened.scratch / "changes.parquet"
        return changes if changes.exists() else self.draft.opened.ledger.load_file(self.plan.changes, changes)

    def _base(self) -> Path | None:
        """Return the state before the plan on the worker's disk, where a new plan was just compared with it."""
        if isinstance(self.draft, NewDraft):
            return self.draft.base
        base = self.draft.opened.scratch / "base.parquet"
        return self.draft.opened.ledger.load_file(self.plan.base, base) if self.plan.base else None

    def _commit(
        self,
        engine: duckdb.DuckDBPyConnection,
        report: DestinationReport,
        monitor: ClaimMonitor,
        journal: Journal,
        moment: str,
    ) -> DestinationReport:
        """Write the list of rejected users and the snapshot, verify the claims, and write the commit."""
        ledger, plan, scratch = self.draft.opened.ledger, self.plan, self.draft.opened.scratch
        base = self._base()
        # Without a change, the state stays as it is.
        state = (
            base
            if base and not plan.planned
            else fold(engine, PlanFiles(plan, base, self._changes()), journal, scratch / "state.parquet")
        )
        if plan.mode == "retire":
            state = keep_in_doubt(engine, state, scratch / "in-doubt.parquet")
        if journal.rejected:
            report = replace(report, rejected_users=self._list_rejected(engine, journal))
        report = replace(report, committed=True, known=count_known(engine, state, plan.trait))
        snapshot = ledger.store_file(str(ObjectName("snapshot", plan.generation, self._claim)), state)
        key = self.draft.opened.stream.destination.key_fingerprint
        monitor.verify()
        ledger.write_commit(
            Commit(
                generation=plan.generation,
                claim=self._claim,
                run_key=self.held_claims.run.key,
                export_request_id=plan.export_request_id,
                trait=plan.trait,
                timestamp=moment,
                snapshot=snapshot,
                proved_key=key if journal.acked.count else plan.proved_key,
                segment_conn_id=plan.segment_conn_id,
                destination=plan.destination,
                report=asdict(report),
                delivered_generation=plan.generation,
                origin=plan.origin,
                run_label=self.held_claims.run.label,
                approved_by=plan.approved_by,
                exported_epoch=plan.exported_epoch,
                fingerprint=plan.fingerprint,
            )
        )
        return report

    def _prune_or_purge(self, monitor: ClaimMonitor) -> None:
        """Prune the ledger; after a retirement, purge every file that names a retired user."""
        ledger = self.draft.opened.ledger
        if self.plan.mode == "retire":
            monitor.verify()
            purge(ledger, ledger.commit(self.plan.generation), self._claim)
        else:
            prune(ledger, self.settings.keep_snapshots)

    def _list_rejected(self, engine: duckdb.DuckDBPyConnection, journal: Journal) -> str:
        """Write ``rejected/<generation>.csv`` with user, trait, value, status and reason; return its location."""
        rejected = list(journal.rejected.values())
        path = self.draft.opened.scratch / "rejected.csv"
        changes = parquet_rows(self._changes(), numbered=True)
        engine.execute(
            write_csv(
                f"""SELECT changes.user_id, changes.trait, changes.value, rejected.status, rejected.reason
                FROM {changes} changes
                JOIN (SELECT unnest($1::BIGINT[]) AS position, unnest($2::INTEGER[]) AS status,
                             unnest($3::VARCHAR[]) AS reason) rejected
                  ON changes.file_row_number = rejected.position
                ORDER BY ALL""",
                path,
            ),
            [[r.position for r in rejected], [r.status for r in rejected], [r.reason for r in rejected]],
        )
        return self.draft.opened.ledger.store_side_file(rejected_file(self.plan.generation), path)
