"""Amplitude's destination in a history: it writes sets of cohort files in virtual time, also while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.sandbox import FileForm
from airflow_provider_amplitude_segment.sandbox.file_target import FolderTarget
from faults.file_book import FileBook, WrittenSet

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from airflow_provider_amplitude_segment.sandbox import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.cohort_files import SetFault
    from faults.world import World

CROWD = 400
"""Members who make a contradiction large enough to be seen, in some histories."""

_SHORT_SECONDS = 60.0
_STAMPS = ("%Y-%m-%dT%H:%S", "%Y-%m-%dT%H-%S", "%Y-%m-%dT%H:%M:%S")
_HOUR = 3600.0


class _DatedFolder(FolderTarget):
    """A folder whose files have the time at which they are due, which may be before the moment that writes them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.at: float | None = None

    def put(self, name: str, content: bytes, at: float) -> None:
        super().put(name, content, at if self.at is None else self.at)


class FileWriter:
    """Writes sets into a folder.

    Attributes:
        folder: where the files are.
        book: what was written.
        has_crowd: whether the cohort is so large that a contradictory set can be seen.
    """

    def __init__(self, world: World, folder: Path, random: Random) -> None:
        self.folder = folder
        self.book: FileBook = world.file_book
        self.has_crowd = random.random() < 0.3
        self._world = world
        self._random = random
        self._files = world.sandbox.cohort_files
        self._target = _DatedFolder(folder)
        self._delayed_until = 0.0
        folder.mkdir()
        files: Any = self._files
        files.write_to(self._target)
        files.existing = random.choice(("last sync", "today", "stayed"))
        files.routing_key = random.choice(("", "", "eu"))
        columns = random.choice((("amplitudeID", "userID"), ("user_id", "amplitude_id"), ("amplitude_id", "user_id")))
        how = {"gzip": random.random() < 0.3, "quoted": random.random() < 0.7}
        files.form = FileForm(random.choice(_STAMPS), columns, line_end=random.choice(("\n", "\r\n")), **how)

    @property
    def is_writing(self) -> bool:
        """Whether a file is still to come."""
        return any(found.due for found in self.book.sets)

    def begin(self, due: tuple[float, ...], fault: SetFault | None = None) -> WrittenSet:
        """Compute a set; its files come so many seconds from now, and those without a time never."""
        self._await_a_free_name(fault)
        now = self._world.time.seconds
        made = self._files.write(self._cohort.cohort_id, fault=fault, files=0)
        # No document says in which order the files come.
        self._random.shuffle(made.unwritten)
        found = WrittenSet(made, [now + seconds for seconds in due])
        self.book.sets.append(found)
        if due and due[0] > _HOUR:
            self._delayed_until = now // _HOUR * _HOUR + _HOUR
        self.catch_up()
        return found

    def catch_up(self) -> None:
        """Write what is due by now."""
        while coming := [found for found in self.book.sets if found.due and found.due[0] <= self._world.time.seconds]:
            self._write_next(min(coming, key=lambda found: found.due[0]))

    def hurry(self) -> None:
        """Write the next file now, while the files are read; or overwrite the newest set, or begin another."""
        self._world.time.pass_by(self._random.choice((1.0, 5.0)))
        self.catch_up()
        coming = [found for found in self.book.sets if found.due]
        if not coming:
            self._move_a_user()
            can_overwrite = bool(self.book.sets) and self._random.random() < 0.8
            self.begin((0.0, 7.0, 14.0), "overwritten" if can_overwrite else None)
            return
        found = min(coming, key=lambda found: found.due[0])
        if found.due[0] - self._world.time.seconds < _SHORT_SECONDS:
            found.due[0] = self._world.time.seconds
            self.catch_up()

    def delete_oldest(self, kept: int) -> int:
        """Delete whole sets as a lifecycle rule does; return how many."""
        whole = [found for found in self.book.sets if found.times and not found.due]
        doomed = sorted(whole, key=lambda found: found.first_at)[: max(0, len(whole) - kept)]
        names = {name for found in doomed for name in found.times if self.book.writers.get(name) is found}
        for name in names:
            (self.folder / name).unlink()
            del self.book.writers[name]
        return len(doomed) if names else 0

    def finish_all(self) -> None:
        """Let everything come that is still to come, and time pass until it has settled."""
        ends = [found.due[-1] for found in self.book.sets if found.due]
        if ends:
            self._world.time.pass_by(max(0.0, max(ends) - self._world.time.seconds))
        self.catch_up()

    @property
    def _cohort(self) -> SandboxCohort:
        return self._world.cohort

    def _write_next(self, found: WrittenSet) -> None:
        name, content = found.made.unwritten[0]
        self._target.at = at = found.due.pop(0)
        if found.made.fault == "half-written" and len(found.made.unwritten) == 1 and name not in found.times:
            # The half of it first, whose set is not whole for those who look.
            self._target.put(name, content[: len(content) // 2], at)
            found.due = [at + 25.0]
        else:
            self._files.put(found.made, 1)
        self._target.at = None
        found.times[name] = at
        self.book.writers[name] = found

    def _await_a_free_name(self, fault: str | None) -> None:
        """Let time pass until a new set has a stamp and an hour of its own, where it must.

        Of two sets under one name no program can see where one ends, if the other stops in the middle; and a set that
        comes late is known as the older one by the hour of its stamp alone.
        """
        time, form = self._world.time, self._files.form
        time.pass_by(1.0)
        if fault == "overwritten":
            return
        if time.seconds < self._delayed_until:
            time.pass_by(self._delayed_until - time.seconds)
        used = {found.made.stamp for found in self.book.sets}
        while form.stamp(time.seconds) in used:
            time.pass_by(1.0)

    def _move_a_user(self) -> None:
        """Let a member exit, and mostly one enter whose ID is as long, so that a file may keep its size."""
        draw, members = self._random, list(self._cohort.user_ids)
        leaving = draw.choice([user for user in members if user.startswith("user-")] or members[1:] or members)
        entering = [f"user-9{draw.randint(0, 99):02}"] if draw.random() < 0.8 else []
        self._cohort.user_ids = list(dict.fromkeys([*entering, *(user for user in members if user != leaving)]))
