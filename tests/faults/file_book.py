"""The book of cohort files: what Amplitude wrote when, which set a run chose, and which sets were delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import FileSet
    from faults.export_book import ExportBook
    from faults.process import Process
    from faults.verdict import Finding

_SETTLED_SECONDS = 60.0
MOST_SPREAD_SECONDS = 600.0
_AFTER_EXPORT_SECONDS = 3600.0
_SAME_SECONDS = 0.01


@dataclass(eq=False)
class WrittenSet:
    """A set as it came into the folder.

    Attributes:
        made: whose members it has, by the sandbox.
        due: when its other files come, the first one first.
        times: by name, when a file of it was last written.
    """

    made: FileSet
    due: list[float] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    @property
    def first_at(self) -> float:
        return min(self.times.values())

    @property
    def last_at(self) -> float:
        return max(self.times.values())


@dataclass(frozen=True, slots=True)
class _Choice:
    set_id: str
    epoch: float
    claims: dict[str, int]


@dataclass
class FileBook:
    """Kept beside the package's own records, from what Amplitude wrote and from what went into the store.

    Attributes:
        sets: in the order in which Amplitude computed them.
        writers: by name, the set whose content a file has.
        findings: what runs did wrong.
    """

    exports: ExportBook
    sets: list[WrittenSet] = field(default_factory=list)
    writers: dict[str, WrittenSet] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _chosen: dict[str, _Choice] = field(default_factory=dict)
    _excused: set[str] = field(default_factory=set)
    _epochs: dict[str, float] = field(default_factory=dict)
    _delivered: dict[str, tuple[bool, float, float]] = field(default_factory=dict)

    def note_record(self, process: Process, content: bytes, now: float) -> None:
        """Note which set a run has chosen; a retry chooses the same one, unless it may not be delivered any more."""
        record = json.loads(content)
        if record["export_source"] != "files":
            return
        set_id, epoch = record["export_request_id"], float(record["exported_epoch"])
        self._epochs[set_id] = epoch
        earlier = self._chosen.get(process.run_key)
        if earlier is not None and earlier.set_id == set_id:
            return
        is_needless = (
            earlier is not None
            and self._is_intact(earlier.epoch)
            and not self.exports.is_overtaken(earlier.set_id, earlier.claims)
            and process.run_key not in self._excused
        )
        if is_needless:
            self.findings.append(("file sets", f"{process.name} chose another set than its run's earlier try"))
        self._excused.discard(process.run_key)
        if not process.ahead:
            self._judge_choice(process, epoch, now)
        self._chosen[process.run_key] = _Choice(set_id, epoch, dict(process.claims))

    def excuse(self, run_key: str) -> None:
        """Note that a run saw its set cut short, and so must take it for one that has changed."""
        self._excused.add(run_key)

    def forget(self, run_key: str) -> None:
        """Note that the run has ended: its next sync begins with a choice of its own."""
        self._chosen.pop(run_key, None)

    def delivered_set(self, set_id: str) -> WrittenSet | None:
        """Return the set of an ID, if it ever was whole."""
        return self._whole(self._epochs.get(set_id, 0.0))

    def note_delivered(self, destination: str, found: WrittenSet) -> list[Finding]:
        """Note that a set was delivered; return what is wrong with it after what was delivered before."""
        before = self._delivered.get(destination)
        self._delivered[destination] = (True, found.made.at, found.first_at)
        if before is None:
            return []
        from_files, at, first_at = before
        # An export counts as newer than a set that was written within an hour after its request.
        is_older = found.made.at < at if from_files else found.first_at - first_at < _AFTER_EXPORT_SECONDS
        text = f"{destination}: the set {found.made.stamp} was delivered after what is newer"
        return [("file sets", text)] if is_older else []

    def note_export(self, destination: str, requested: float) -> None:
        """Note that an export of the API was delivered."""
        self._delivered[destination] = (False, requested, requested)

    def forget_delivered(self, destination: str) -> None:
        """Note that a worker with a wrong clock delivered an export, and left its wrong time."""
        self._delivered.pop(destination, None)

    def _judge_choice(self, process: Process, epoch: float, now: float) -> None:
        chosen = self._whole(epoch)
        if chosen is None:
            self.findings.append(("file sets", f"{process.name} chose a set that never was whole"))
            return
        for other in self.sets:
            is_settled = self._is_whole(other) and other.last_at + _SETTLED_SECONDS < now
            if is_settled and other.made.at > chosen.made.at and self._is_untouched(other):
                text = f"{process.name} chose {chosen.made.stamp} although {other.made.stamp} is newer and whole"
                self.findings.append(("file sets", text))

    def _is_intact(self, epoch: float) -> bool:
        found = self._whole(epoch)
        return found is not None and self._is_untouched(found)

    def _is_untouched(self, found: WrittenSet) -> bool:
        return all(self.writers.get(name) is found for name in found.times)

    def _whole(self, epoch: float) -> WrittenSet | None:
        fitting = (s for s in self.sets if self._is_whole(s) and abs(s.first_at - epoch) < _SAME_SECONDS)
        return next(fitting, None)

    def _is_whole(self, found: WrittenSet) -> bool:
        return found.made.is_complete and found.last_at - found.first_at < MOST_SPREAD_SECONDS
