"""The folder of the cohort files: which set a run reads, and whether it changed while it was read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_amplitude_segment.core.clock import is_ahead, timestamp
from airflow_provider_amplitude_segment.core.export.cohort_files import FileSet, is_set_id, name_prefix
from airflow_provider_amplitude_segment.core.export.file_set_choice import StillWritten, Wanted, choose_set, find_set
from airflow_provider_amplitude_segment.core.export.passed_over import find_passed_over
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    read_checkpoint,
    with_own_commits,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.exceptions import (
    CohortFilesChangedError,
    CohortFilesIncompleteError,
    SyncStoppedError,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.export.cohort_files import ListedFile
    from airflow_provider_amplitude_segment.core.ledger.entry import Commit
    from airflow_provider_amplitude_segment.core.ledger.held_claims import HeldClaims
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store, Stream

log = logging.getLogger(__name__)


class CohortFolder(Protocol):
    """The folder that Amplitude's destination writes.

    Its methods raise ``CohortFilesUnavailableError`` where the store fails for now, and ``CohortFilesAccessError``
    where it refuses.
    """

    @property
    def place(self) -> str:
        """The folder's path or URL, for messages."""

    def list_files(self, prefix: str) -> Sequence[ListedFile]:
        """Return the files directly in the folder whose names begin so."""

    def fetch(self, name: str, to: Path) -> bool:
        """Copy a file, byte for byte; return whether there is one."""


@dataclass(frozen=True, slots=True)
class FileSetSource:
    """Chooses a run's set of cohort files.

    Attributes:
        folder: where they are.
        poll_interval: seconds between listings while a set is being written.
        longest_wait: seconds that a try waits for such a set.
        clock: time.
        stop: set when the task is to end.
    """

    folder: CohortFolder
    poll_interval: float
    longest_wait: float
    clock: Clock
    stop: threading.Event

    def reuse_or_choose(
        self,
        store: Store,
        newest: Mapping[Stream, Plan | Commit | None],
        held_claims: HeldClaims,
        listed: int | None,
    ) -> RunCheckpoint:
        """Return the checkpoint of the run's set; choose a set where the run has none that may be delivered.

        Args:
            store: where the checkpoint is.
            newest: the newest entry of each stream's ledger.
            held_claims: the claims under which a set is chosen, and the run that holds them.
            listed: the cohort's size in Amplitude's list now, which stays the one that the set is compared with.

        Raises:
            CohortFilesError: no set can be synced.
            ClaimLostError: a stream was taken over.
        """
        stream, run = next(iter(newest)), held_claims.run
        wanted = self._wanted(store, run, newest)
        checkpoint = read_checkpoint(store, stream, run)
        if checkpoint is not None and checkpoint.export_source == "files":
            checkpoint = with_own_commits(checkpoint, run, newest)
            if self._is_usable(checkpoint, run, newest, wanted):
                log.info("This run reuses its set of cohort files %s.", checkpoint.export_request_id)
                return checkpoint
        found = self._choose(wanted)
        held_claims.verify_all()
        generations = {stream.folder: held_claims.generation(stream) for stream in newest}
        approval = None if checkpoint is None else checkpoint.approval
        checkpoint = RunCheckpoint(
            found.set_id,
            self.clock.now(),
            generations,
            approval=approval,
            counts={} if listed is None else {"cohort_size": listed},
            export_source="files",
            exported_epoch=found.written_at,
        )
        write_checkpoint(store, stream, run, checkpoint)
        return checkpoint

    def find(self, stream: Stream, set_id: str) -> FileSet:
        """Return the set of an ID.

        Raises:
            CohortFilesChangedError: it is gone, or has changed.
        """
        wanted = Wanted(self.folder.place, stream.app_id, stream.cohort_id)
        found = find_set(self._list(wanted), wanted, set_id)
        if found is None:
            raise CohortFilesChangedError(stream.cohort_id, self.folder.place)
        return found

    def refuse_passed_over(self, stream: Stream, run: Run, set_id: str) -> None:
        """Refuse to end as nothing new with a set while others look newer.

        Raises:
            CohortFilesIncompleteError: a set after it never became whole.
            CohortFilesOrderError: a set with an earlier stamp was written after it.
        """
        wanted = Wanted(self.folder.place, stream.app_id, stream.cohort_id, waiting_since=_began(run))
        now = self.clock.now()
        found = find_passed_over(self._list(wanted), wanted, set_id, now)
        if found is not None:
            found.refuse(wanted, now)

    def _wanted(self, store: Store, run: Run, newest: Mapping[Stream, Plan | Commit | None]) -> Wanted:
        now, stream = self.clock.now(), next(iter(newest))
        # A time in the future comes from a wrong clock, and would let no set through.
        known = {
            stream: entry
            for stream, entry in newest.items()
            if entry is not None and entry.exported_epoch and not is_ahead(timestamp(entry.exported_epoch), now)
        }
        return Wanted(
            self.folder.place,
            stream.app_id,
            stream.cohort_id,
            max((entry.exported_epoch for entry in known.values()), default=0.0),
            max((_requested_at(store, stream, entry) for stream, entry in known.items()), default=0.0),
            _began(run),
        )

    def _is_usable(
        self, checkpoint: RunCheckpoint, run: Run, newest: Mapping[Stream, Plan | Commit | None], wanted: Wanted
    ) -> bool:
        """Return whether the run's set is still there, or is not needed, and nothing newer was delivered."""
        unfinished = {s.folder: entry for s, entry in newest.items() if s.folder not in checkpoint.finished}
        # The files have no end of life of their own.
        dated = replace(checkpoint, requested_at=self.clock.now())
        if not dated.is_usable(unfinished, self.clock.now()):
            return False
        own = {"run_key": run.key, "export_request_id": checkpoint.export_request_id}
        is_planned = all(
            isinstance(entry, Plan) and {name: getattr(entry, name) for name in own} == own
            for entry in unfinished.values()
        )
        if is_planned or find_set(self._list(wanted), wanted, checkpoint.export_request_id) is not None:
            return True
        log.warning("The set of cohort files of this run's earlier try is gone or has changed. Another one is chosen.")
        return False

    def _choose(self, wanted: Wanted) -> FileSet:
        began = self.clock.monotonic()
        while True:
            files, now = self._list(wanted), self.clock.now()
            found = choose_set(files, wanted, now)
            if isinstance(found, FileSet):
                written = timestamp(found.written_at)
                log.info("Chose the set of cohort files with stamp %s, written at %s.", found.stamp, written)
                passed_over = find_passed_over(files, wanted, found.set_id, now)
                for text in passed_over.warnings() if passed_over else ():
                    log.warning("%s", text)
                return found
            self._wait(found, wanted, began)

    def _wait(self, found: StillWritten, wanted: Wanted, began: float) -> None:
        seconds = found.seconds or self.poll_interval
        waited = self.clock.monotonic() - began
        if waited + seconds > self.longest_wait:
            raise CohortFilesIncompleteError(wanted.cohort_id, wanted.place, found.stamp, found.problem, None)
        log.info("The set with stamp %s is being written (%s). Waiting.", found.stamp, found.problem)
        if self.clock.wait(seconds, self.stop):
            raise SyncStoppedError(None, 0)

    def _list(self, wanted: Wanted) -> Sequence[ListedFile]:
        """List the cohort's files; all files where it has none, because the error says what else is there."""
        prefix = name_prefix(wanted.project_id, wanted.cohort_id)
        return self.folder.list_files(prefix) or (self.folder.list_files("") if prefix else ())


def _requested_at(store: Store, stream: Stream, newest: Plan | Commit) -> float:
    """Return when the newest membership of a ledger was requested as an export; 0 where it came from a set.

    A retirement and a commit of a maintenance command name no export: the entry before them that does decides. Where
    a retirement or an erasure has deleted it, nothing shows it, and a set may be synced again.
    """
    named: Plan | Commit | None = newest
    if not newest.export_request_id:
        entries = Ledger(store, stream.folder).readable_entries()
        named = next((entry for entry in reversed(entries) if entry.export_request_id), None)
    return 0.0 if named is None or is_set_id(named.export_request_id) else newest.exported_epoch


def _began(run: Run) -> float | None:
    """Return when the DAG run began, in seconds since 1970; ``None`` where that is unknown."""
    try:
        return float(run.started_at)
    except ValueError:
        return None
