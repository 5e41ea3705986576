"""The retirement: ``false`` to everyone ever told ``true`` for a cohort, and the cohort's state is forgotten.

    find the ledgers by their folders → claim all → compare each destination's state with nobody
    → plans → each destination told, committed and forgotten by itself → report, forget the run, release

Amplitude is not asked: the cohort may be archived or deleted. All of the ledger's rules hold as in a sync, so a
retirement that ends early is gone on with by its retry, and a sync after it tells who is in doubt.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.disk_space import retirement_room
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    read_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.pruning import count_pairs, purge
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import require_mark
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_cohort_streams, other_destinations
from airflow_provider_amplitude_segment.core.membership.membership import empty_membership
from airflow_provider_amplitude_segment.core.plan.diff import PlanTerms
from airflow_provider_amplitude_segment.core.plan.draft import (
    Draft,
    compare,
    find_resumable,
    report_draft,
)
from airflow_provider_amplitude_segment.core.report.outcome import raise_for_rejected
from airflow_provider_amplitude_segment.core.report.progress import log_group
from airflow_provider_amplitude_segment.core.report.report import (
    DestinationReport,
    SyncReport,
)
from airflow_provider_amplitude_segment.core.session import SyncSession

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts
    from airflow_provider_amplitude_segment.core.ledger.stream import Run
    from airflow_provider_amplitude_segment.core.plan.draft import Draft, NewDraft
    from airflow_provider_amplitude_segment.core.settings import SyncSettings

log = logging.getLogger(__name__)

_NO_EXPORT = ""
"""A retirement tells no export: a sync that had requested one before asks for a new one."""


class CohortRetirement:
    """One retirement by one run's try. Used once; ``report`` and ``report_at_start`` are its session's."""

    def __init__(
        self,
        settings: SyncSettings,
        run: Run,
        ports: DeliveryPorts,
        *,
        app_id: str | None = None,
        remembered: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Prepare a retirement; nothing is read or sent yet.

        ``app_id`` is the Amplitude project's number, where several have synced the cohort; ``remembered`` is as in a
        sync. Of the settings those count that are not about an export or a trait's name.
        """
        self._settings = settings
        self._app_id = app_id
        self._session = SyncSession(settings, run, ports, "retire", remembered)

    @property
    def report(self) -> SyncReport:
        """How far the retirement came; true at any time, also after an error."""
        return self._session.report

    @property
    def report_at_start(self) -> SyncReport:
        """What the report was when this try began to work."""
        return self._session.report_at_start

    def run(self) -> SyncReport:
        """Retire, and return the report.

        Raises:
            StateMarkError: the place is no state path of this package; nothing was sent.
            LedgerNotFoundError: the cohort was never synced, or not to one of the destinations; nothing was sent.
            AmplitudeSegmentError: see the tree in ``exceptions``; ``report`` says how far it came.
        """
        session, store = self._session, self._session.ports.store
        try:
            require_mark(store)
            streams = find_cohort_streams(
                store, self._settings.cohort_id, tuple(session.ports.segment_clients), self._app_id
            )
            with session.claimed(streams):
                self._retire_claimed()
            if others := other_destinations(store, streams):
                log.warning(
                    "Cohort %s was also synced to other destinations, and stays there: %s",
                    self._settings.cohort_id,
                    others,
                )
        except BaseException as error:
            session.complete_report(error)
            raise
        raise_for_rejected(session.report, self._settings.on_rejected)
        return session.report

    def _retire_claimed(self) -> None:
        session = self._session
        session.read_ledgers()
        session.ports = replace(session.ports, room_bytes=retirement_room(session.newest.values()))
        session.check_state()
        session.checkpoint = self._read_checkpoint()
        for finished in session.checkpoint.finished.values():
            session.note(DestinationReport(**finished))
        session.report_at_start = session.report
        with log_group("Compare with the ledger"):
            drafts = self._open_drafts()
        session.report_at_start = session.report
        if self._settings.dry_run:
            session.list_planned(drafts)
        else:
            self._purge_all_but(drafts)
            if drafts:
                session.deliver(drafts)
        session.end()

    def _read_checkpoint(self) -> RunCheckpoint:
        """Return the run's checkpoint, with the destinations that this run has retired and that no sync reached since.

        It is written before anything else is, so that a try that was killed after its commit is known by it.
        """
        session = self._session
        found = read_checkpoint(session.ports.store, session.streams[0], session.run)
        if found is None:
            checkpoint = RunCheckpoint(_NO_EXPORT, session.ports.clock.now(), {})
            if not self._settings.dry_run:
                session.keep(checkpoint)
            return checkpoint
        finished = {
            stream.folder: entry.report
            for stream, entry in session.newest.items()
            if isinstance(entry, Commit)
            and entry.run_key == session.run.key
            # A sync of the same task is no retirement.
            and entry.report.get("mode") == "retire"
        }
        return replace(found, export_request_id=_NO_EXPORT, finished=finished)

    def _open_drafts(self) -> list[Draft]:
        """Return a draft for each destination where a user is known, or something was begun."""
        session, drafts = self._session, []
        with open_engine(session.ports.scratch) as engine:
            for opened in session.open_streams():
                terms = PlanTerms(opened.newest.trait if opened.newest is not None else "", "retire", _NO_EXPORT)
                draft: Draft | None = find_resumable(opened, terms, self._settings, session.run)
                if draft is None:
                    draft = compare(engine, opened, terms, empty_membership(engine, opened.scratch))
                    is_settled = not isinstance(opened.newest, Plan) and not opened.state_missing
                    if is_settled and count_pairs(engine, draft.base) == 0:
                        session.note(self._nothing_known(draft))
                        continue
                report = report_draft(draft)
                session.note(report)
                log.info("%s: %s users will be sent false", report.segment_conn_id, f"{report.planned:,}")
                drafts.append(draft)
        return drafts

    def _nothing_known(self, draft: NewDraft) -> DestinationReport:
        destination = draft.opened.stream.destination
        log.info("%s: no user of cohort %s is known", destination.segment_conn_id, self._settings.cohort_id)
        return replace(report_draft(draft), committed=not self._settings.dry_run)

    def _purge_all_but(self, drafts: Sequence[Draft]) -> None:
        """Purge the ledgers that need no delivery: a try that was killed after its commit, or a dry run, left files."""
        session = self._session
        pending = {draft.opened.stream for draft in drafts}
        for stream, entry in session.newest.items():
            if stream not in pending and not isinstance(entry, Plan):
                session.held_claims.verify(stream)
                purge(session.ledgers[stream], entry, session.held_claims.generation(stream))
