"""A folder that Amplitude's destination writes, with the times at which it did."""

import csv
import io
from collections.abc import Callable, Iterable
from pathlib import Path

from airflow_provider_amplitude_segment.core.engine.scratch import on_scratch
from airflow_provider_amplitude_segment.core.export.cohort_files import ListedFile

HEADER = ("amplitudeID", "userID")


def csv_of(rows: Iterable[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> bytes:
    """The bytes of a file: every field quoted, and a line break after each row."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def amplitude_id(user: str, number: int) -> str:
    """A user's Amplitude ID: the same in every file; an anonymous user has one by its place in the file."""
    return str(int.from_bytes(user.encode())) if user.strip() else f"9{number}"


class FakeCohortFolder:
    """Files by name.

    ``on_fetch`` is called before each file is handed out, and ``on_list`` before each listing: what another program
    does meanwhile.
    """

    place = "s3://files/amplitude"

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.files: dict[str, tuple[bytes, float]] = {}
        self.fetched: list[str] = []
        self.on_fetch: Callable[[str], None] = lambda _name: None
        self.on_list: Callable[[], None] = lambda: None

    def put(self, name: str, content: bytes, *, age: float = 0.0) -> None:
        """Write a file, so many seconds ago."""
        self.files[name] = (content, self._now() - age)

    def write(
        self,
        stamp: str,
        *,
        existing: Iterable[str] = (),
        entering: Iterable[str] = (),
        exiting: Iterable[str] = (),
        cohort: str = "1234_c1",
        age: float = 120.0,
    ) -> None:
        """Write a whole set of user IDs, so many seconds ago; a blank one is an anonymous user."""
        for kind, users in (("entering", entering), ("exiting", exiting), ("existing", existing)):
            rows = [(amplitude_id(user, number), user) for number, user in enumerate(users)]
            self.put(f"{cohort}_{stamp}_{kind}.csv", csv_of(rows), age=age)

    def list_files(self, prefix: str) -> list[ListedFile]:
        self.on_list()
        return [
            ListedFile(name, len(content), at, f"{at}-{hash(content)}")
            for name, (content, at) in self.files.items()
            if name.startswith(prefix)
        ]

    def fetch(self, name: str, to: Path) -> bool:
        self.on_fetch(name)
        self.fetched.append(name)
        if name not in self.files:
            return False
        with on_scratch(to):
            to.write_bytes(self.files[name][0])
        return True
