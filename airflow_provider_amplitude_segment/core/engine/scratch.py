"""The scratch folder: where a run keeps its files while it works, made in the worker's temporary folder.

What the disk refuses there is an ``EngineError`` that names the temporary folder. A bare ``OSError`` of a full disk
names none, and could be the state path's, which has an error of its own.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Self

from airflow_provider_amplitude_segment.exceptions import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "amplitude-segment-"
"""How the name of a scratch folder begins."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""A full disk or one without inodes, a quota, a limit on files: what writing meets, and reading never does."""


def temporary_folder(path: Path) -> Path:
    """Return the worker's temporary folder, which a person can give more room, of a path in a scratch folder.

    >>> from pathlib import Path
    >>> str(temporary_folder(Path("/data/tmp/amplitude-segment-x7/destination-0/changes.parquet")))
    '/data/tmp'
    """
    scratch = next((folder for folder in (path, *path.parents) if folder.name.startswith(PREFIX)), path)
    return scratch.parent


@contextmanager
def on_scratch(path: Path) -> Iterator[None]:
    """Make an ``OSError`` of the body an ``EngineError``; the body touches nothing but ``path``, in a scratch folder.

    Raises:
        EngineError: the disk refused something; names the temporary folder.
    """
    try:
        yield
    except OSError as error:
        raise scratch_error(path, error) from error


def scratch_error(path: Path, error: OSError) -> EngineError:
    """Return the error of a disk that refused something at ``path``, in a scratch folder."""
    return disk_error(path, type(error).__name__, error.strerror or str(error))


def disk_error(path: Path, kind: str, reason: str) -> EngineError:
    """Return the error of a disk that refused something at ``path``, in a scratch folder.

    Args:
        path: in a scratch folder, or such a folder.
        kind: the name of what was raised.
        reason: what the file system said, in words.
    """
    folder = temporary_folder(path)
    if reason == os.strerror(errno.ENOSPC) and _has_no_inodes(folder):
        reason += ", no inode is left"
    # An error is printed, and a name that is no UTF-8 cannot be.
    return EngineError(kind, str(folder).encode(errors="replace").decode(), reason)


def _has_no_inodes(folder: Path) -> bool:
    with suppress(OSError):
        found = os.statvfs(folder)
        return found.f_files > 0 and found.f_favail == 0
    return False


def make_scratch(folder: Path) -> None:
    """Make a new folder in a scratch folder; raises ``EngineError``."""
    with on_scratch(folder):
        folder.mkdir()


class ScratchFile:
    """A file in a scratch folder that is written anew, readable by its owner only; a context manager.

    It is not there unless the body ends well. Only what the disk refuses is an ``EngineError``: whatever the body meets
    elsewhere passes as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False

    def __enter__(self) -> Self:
        """Make the file, or empty it."""
        with on_scratch(self._path):
            # Path.open takes no mode, and the file holds user IDs: no other user may read it, not for a moment.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close it, with what is still to be written."""
        try:
            if kind is None:
                # What is still in the buffer meets the full disk only now.
                with on_scratch(self._path):
                    self._file.close()
                self._is_whole = True
        finally:
            if not self._is_whole:
                with suppress(OSError):
                    self._file.close()
                with suppress(OSError):
                    self._path.unlink()

    def write(self, content: bytes) -> None:
        """Write bytes after those before."""
        with on_scratch(self._path):
            self._file.write(content)


def remove_scratch(path: Path) -> None:
    """Remove a file of a scratch folder that is needed no more; raises ``EngineError``."""
    with on_scratch(path):
        path.unlink(missing_ok=True)


def scratch_chunks(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file of a scratch folder, ``size`` bytes at a time.

    Raises:
        EngineError: it cannot be read; what the reader of the chunks meets passes as it is.
    """
    with on_scratch(path):
        file = path.open("rb")
    with file:
        while True:
            with on_scratch(path):
                chunk = file.read(size)
            if not chunk:
                return
            yield chunk
