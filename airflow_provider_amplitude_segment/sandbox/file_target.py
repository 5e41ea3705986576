"""Where cohort files are written: a folder, or an object store by its URL."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class FileTarget(Protocol):
    """A place for cohort files."""

    def put(self, name: str, content: bytes, at: float) -> None:
        """Write a file, or replace it. ``at`` is the time of the sandbox's clock."""

    def __str__(self) -> str:
        """Return the place, as a user named it."""


class FolderTarget:
    """A folder of this machine. A file appears whole, and its modification time is the sandbox's clock's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes, at: float) -> None:
        """Write a file beside its place, then move it there, as an upload to an object store appears."""
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{target.name}.part"
        part.write_bytes(content)
        os.utime(part, (at, at))
        part.replace(target)

    def __str__(self) -> str:
        """Return the folder."""
        return str(self._folder)


class FsspecTarget:
    """An object store that fsspec knows, such as ``s3://bucket/path``. The store gives a file its modification time."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        try:
            fsspec = importlib.import_module("fsspec")
            # s3fs reads AWS_ENDPOINT_URL and the credentials of the environment.
            self._fs, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            raise ImportError(
                f"Cohort files at {url} need a library that is not installed ({error}): "
                "pip install 'airflow-provider-amplitude-segment[sandbox,s3]'"
            ) from error
        self._url = url

    def put(self, name: str, content: bytes, at: float) -> None:  # noqa: ARG002 - the store has a clock of its own
        """Upload a file."""
        self._fs.pipe_file(f"{self._root.rstrip('/')}/{name}", content)

    def __str__(self) -> str:
        """Return the URL."""
        return self._url


def open_target(where: str | Path | FileTarget, options: Mapping[str, Any] | None = None) -> FileTarget:
    """Return the place that a folder or a URL names, or the place itself.

    Raises:
        ImportError: no library for the URL is installed.
        ValueError: fsspec knows no such URL.
    """
    if isinstance(where, Path):
        return FolderTarget(where)
    if isinstance(where, str):
        return FsspecTarget(where, options or {}) if "://" in where else FolderTarget(Path(where))
    return where
