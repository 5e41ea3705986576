"""A store in memory that can die between any two writes."""

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.exceptions import StatePathError

if TYPE_CHECKING:
    from collections.abc import Callable


class Killed(BaseException):
    """The process is dead: nothing catches this, and nothing is written any more."""


class FakeStore:
    """Objects by name. ``die_before_write(n)`` kills whoever begins the n-th write from now on, counted from 1."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.writes: list[str] = []
        self._deadly_write: int | None = None
        self.is_dead = False
        self.before_write: Callable[[str], None] = lambda _name: None
        self.before_listing: Callable[[], None] = lambda: None
        self.before_delete: Callable[[], None] = lambda: None
        self.before_pruning: Callable[[], None] = lambda: None
        # Names of objects, and of folders with all that is in them, that this user may not read.
        self.closed: set[str] = set()
        self.after_copy: Callable[[Path], None] = lambda _path: None

    def die_before_write(self, number: int) -> None:
        self._deadly_write = len(self.writes) + number

    def revive(self) -> None:
        self._deadly_write, self.is_dead = None, False

    def _begin_write(self, name: str) -> None:
        if self.is_dead:
            raise Killed
        self.before_write(name)
        if self._deadly_write is not None and len(self.writes) + 1 >= self._deadly_write:
            self.is_dead = True
            raise Killed
        self.writes.append(name)

    def put(self, name: str, content: bytes) -> None:
        self._begin_write(name)
        self.objects[name] = content

    def put_file(self, name: str, path: Path) -> None:
        with on_scratch(path):
            content = path.read_bytes()
        self.put(name, content)

    def create(self, name: str, content: bytes) -> bool:
        self._begin_write(name)
        if name in self.objects:
            return False
        self.objects[name] = content
        return True

    def _refuse_closed(self, name: str) -> None:
        if any(name == closed or name.startswith(f"{closed}/") for closed in self.closed):
            raise StatePathError("memory:", f"Permission denied, at {name}")

    def get(self, name: str) -> bytes | None:
        self._refuse_closed(name)
        return self.objects.get(name)

    def get_file(self, name: str, to: Path) -> bool:
        self._refuse_closed(name)
        content = self.objects.get(name)
        if content is not None:
            with on_scratch(to):
                to.write_bytes(content)
            self.after_copy(to)
        return content is not None

    def names(self, folder: str) -> list[str]:
        self.before_listing()
        self._refuse_closed(folder)
        above = f"{folder}/" if folder else ""
        below = (name.removeprefix(above) for name in list(self.objects) if name.startswith(above))
        return list({name.partition("/")[0] for name in below})

    def folders(self, folder: str) -> list[str]:
        above = f"{folder}/" if folder else ""
        return [name for name in self.names(folder) if any(full.startswith(f"{above}{name}/") for full in self.objects)]

    def delete(self, name: str) -> None:
        (self.before_delete if "/runs/" in name else self.before_pruning)()
        self._begin_write(name)
        self.objects.pop(name, None)

    def locate(self, name: str) -> str:
        return f"memory:{name}"
