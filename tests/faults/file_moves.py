"""What Amplitude's cohort files do between two syncs of a history, and which syncs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from faults.file_book import MOST_SPREAD_SECONDS
from faults.file_writer import CROWD, FileWriter
from faults.process import Accident

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from faults.world import World

_ENDS = ("kill", "kill", "pause", "execution time-out", "stop", "state path failed", "state path failed late")
_WITHIN = {"state path failed", "state path failed late", "files move", "short read"}


class FileMoves:
    """Writes a history's sets, if it has any.

    Attributes:
        crowd: users who are always members.
    """

    def __init__(self, random: Random, world: World, count: Callable[..., None], *, has_files: bool) -> None:
        self._random = random
        self._world = world
        self._count = count
        self._sources: dict[str, bool] = {}
        if has_files:
            world.file_writer = FileWriter(world, world.root.parent / "cohort-files", random)
        self.crowd = [f"crowd-{number:03d}" for number in range(CROWD)] if has_files and self._writer.has_crowd else []

    @property
    def has_files(self) -> bool:
        return self._world.file_writer is not None

    @property
    def _writer(self) -> FileWriter:
        assert self._world.file_writer is not None
        return self._world.file_writer

    def move(self) -> None:
        """Let the destination write a set, mostly, and some time pass."""
        if not self.has_files:
            return
        draw, cohort, time = self._random, self._world.cohort, self._world.time
        cohort.user_ids = [*cohort.user_ids, *(user for user in self.crowd if user not in set(cohort.user_ids))]
        self._writer.catch_up()
        if draw.random() < 0.8:
            self._write()
        if draw.random() < 0.1:
            self._count("old sets deleted", self._writer.delete_oldest(2))
        time.pass_by(draw.choice((0, 5, 30, 61, 61, 90, 200)))
        self._writer.catch_up()

    def _write(self) -> None:
        draw, time = self._random, self._world.time
        gaps = draw.uniform(0, 20), draw.uniform(20, 45)
        whole = (0.0, *gaps)
        kind = draw.choices(
            ("whole", "late", "never", "delayed", "half-written", "contradictory", "overwritten", "two"),
            (8, 2, 1, 2, 1, 6 if self._writer.has_crowd else 0, 2, 1),
        )[0]
        if kind == "overwritten" and (self._writer.is_writing or not self._world.file_book.sets):
            kind = "whole"
        match kind:
            case "late":
                self._writer.begin((0.0, gaps[0], draw.choice((100.0, 400.0, 1500.0, 2500.0, 9000.0))))
            case "never":
                self._writer.begin((0.0, gaps[0])[: draw.randint(1, 2)])
            case "delayed":
                later = draw.uniform(4000, 9000)
                self._writer.begin((later, later + gaps[0], later + gaps[1]))
            case "overwritten":
                # In a minute; or with a stop, where the set before it is so old that its other files give it away.
                is_old = time.seconds - self._world.file_book.sets[-1].last_at > MOST_SPREAD_SECONDS
                stop = draw.choice((0.0, 400.0, 2000.0)) if is_old else 0.0
                self._writer.begin((0.0, gaps[0] + stop, gaps[1] + stop), "overwritten")
            case "half-written" | "contradictory":
                self._writer.begin(whole, kind)
            case "two":
                self._writer.begin((0.0, 1.0, 2.0))
                time.pass_by(20)
                self._writer.begin((0.0, 1.0, 2.0))
            case _:
                self._writer.begin(whole)
        if kind != "whole":
            self._count(f"cohort files: {kind} set{'s in a minute' if kind == 'two' else ''}")

    def draw_source(self, run_key: str) -> bool:
        """Draw whether a run reads files; each try of it reads the same source."""
        if not self.has_files:
            return False
        if run_key not in self._sources:
            self._sources[run_key] = self._random.random() < 0.75
        return self._sources[run_key]

    def draw_accidents(self, *, from_files: bool) -> list[Accident]:
        """Draw what one try meets at its cohort files."""
        if not from_files:
            return []
        draw = self._random
        moves = ["files move"] * draw.choice((0, 0, 0, 1, 2, 3))
        ends = [draw.choice((*_ENDS, "short read"))] if draw.random() < 0.3 else []
        return [self._aimed(what) for what in (*moves, *ends)]

    def _aimed(self, what: str) -> Accident:
        draw = self._random
        kind, most = ("copy", 3) if what == "short read" else draw.choice((("choose", 3), ("copy", 3), ("copy", 3)))
        after = what not in _WITHIN and draw.random() < 0.5
        return Accident(what, draw.randint(1, most), kind, after)

    def calm_down(self) -> None:
        """Let all files come, and write a whole set of the cohort as it is."""
        if self.has_files:
            self._writer.finish_all()
            self._world.time.pass_by(3600)
            self._writer.begin((0.0, 1.0, 2.0))
