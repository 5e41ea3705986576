"""The scratch folder: a run's files while it works, in the worker's temporary folder.

A fault of its disk is an ``EngineError`` that names the temporary folder. A bare ``OSError`` names no folder, and could
come from the state path, whose faults have errors of their own.
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
"""The beginning of a scratch folder's name."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Faults of writing alone: the disk is full or has no inodes, a quota is used up, or a file is too large."""


def temporary_folder(path: Path) -> Path:
    """Return the worker's temporary folder above a path in a scratch folder.

    >>> from pathlib import Path
    >>> str(temporary_folder(Path("/data/tmp/amplitude-segment-x7/destination-0/changes.parquet")))
    '/data/tmp'
    """
    scratch = next((folder for folder in (path, *path.parents) if folder.name.startswith(PREFIX)), path)
    return scratch.parent


@contextmanager
def on_scratch(path: Path) -> Iterator[None]:
    """Raise an ``OSError`` of the body as an ``EngineError``; the body touches only ``path``, in a scratch folder.

    Raises:
        EngineError: the disk failed; the error names the temporary folder.
    """
    try:
        yield
    except OSError as error:
        raise scratch_error(path, error) from error


def scratch_error(path: Path, error: OSError) -> EngineError:
    """Return the error for a disk that failed at ``path``, in a scratch folder."""
    return disk_error(path, type(error).__name__, error.strerror or str(error))


def disk_error(path: Path, kind: str, reason: str) -> EngineError:
    """Return the error for a disk that failed at ``path``, in a scratch folder.

    Args:
        path: a scratch folder, or a path in it.
        kind: the name of the error class.
        reason: the file system's, in words.
    """
    folder = temporary_folder(path)
    if reason == os.strerror(errno.ENOSPC) and _has_no_inodes(folder):
        reason += ", no inode is left"
    # A name that is not UTF-8 cannot be printed.
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
    """A new file in a scratch folder, readable only by its owner; a context manager.

    It is removed where the body raises. A fault of the disk is raised as an ``EngineError``, any other error as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_whole = False

    def __enter__(self) -> Self:
        """Create the file, or empty it."""
        with on_scratch(self._path):
            # os.open sets the mode at once, because the file holds user IDs, which no other user may read.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the rest and close the file; remove it where the body or the disk failed."""
        try:
            if kind is None:
                # Closing writes the buffer, and so may find the disk full.
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
        """Append bytes."""
        with on_scratch(self._path):
            self._file.write(content)


def remove_scratch(path: Path) -> None:
    """Remove a file of a scratch folder; raises ``EngineError``."""
    with on_scratch(path):
        path.unlink(missing_ok=True)


def scratch_chunks(path: Path, size: int = 1 << 20) -> Iterator[bytes]:
    """Yield a file of a scratch folder, ``size`` bytes at a time.

    Raises:
        EngineError: it cannot be read; an error of the caller, between two chunks, is raised as it is.
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
