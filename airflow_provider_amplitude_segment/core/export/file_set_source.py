"""The folder of the cohort files: which set a run reads, and whether it changed while it was read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from airflow_provider_amplitude_segment.core.clock import is_ahead, timestamp
from airflow_provider_amplitude_segment.core.export.cohort_files import FileSet, name_prefix
from airflow_provider_amplitude_segment.core.export.file_set_choice import StillWritten, Wanted, choose_set, find_set
from airflow_provider_amplitude_segment.core.export.run_checkpoint import (
    RunCheckpoint,
    read_checkpoint,
    with_own_commits,
    write_checkpoint,
)
from airflow_provider_amplitude_segment.core.ledger.entry import Plan
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
        self, store: Store, newest: Mapping[Stream, Plan | Commit | None], held_claims: HeldClaims
    ) -> RunCheckpoint:
        """Return the checkpoint of the run's set; choose a set where the run has none that may be delivered.

        Args:
            store: where the checkpoint is.
            newest: the newest entry of each stream's ledger.
            held_claims: the claims under which a set is chosen, and the run that holds them.

        Raises:
            CohortFilesError: no set can be synced.
            ClaimLostError: a stream was taken over.
        """
        stream, run = next(iter(newest)), held_claims.run
        wanted = self._wanted(stream, run, newest)
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

    def _wanted(self, stream: Stream, run: Run, newest: Mapping[Stream, Plan | Commit | None]) -> Wanted:
        now = self.clock.now()
        # A time in the future comes from a wrong clock, and would let no set through.
        epochs = (entry.exported_epoch for entry in newest.values() if entry is not None)
        known = [epoch for epoch in epochs if epoch and not is_ahead(timestamp(epoch), now)]
        try:
            waiting_since = float(run.started_at)
        except ValueError:
            waiting_since = None
        return Wanted(self.folder.place, stream.app_id, stream.cohort_id, max(known, default=0.0), waiting_since)

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
            found = choose_set(self._list(wanted), wanted, self.clock.now())
            if isinstance(found, FileSet):
                written = timestamp(found.written_at)
                log.info("Chose the set of cohort files with stamp %s, written at %s.", found.stamp, written)
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
