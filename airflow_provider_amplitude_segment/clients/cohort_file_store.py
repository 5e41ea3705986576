"""The folder of Amplitude's cohort files: a local folder, or any fsspec file system. It is only read."""

from __future__ import annotations

import inspect
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.clients.store_failure import folder_error, store_error
from airflow_provider_amplitude_segment.clients.store_response import response_of
from airflow_provider_amplitude_segment.core.engine.scratch import ScratchFile
from airflow_provider_amplitude_segment.core.export.cohort_files import ListedFile
from airflow_provider_amplitude_segment.core.ledger.absence import is_absence
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    CohortFilesAccessError,
    CohortFilesUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_amplitude_segment.clients.ledger_store import Root

# What file systems call the time of the last write, and what changes with the content: s3fs, gcsfs, adlfs, others.
_TIMES = ("LastModified", "updated", "last_modified", "mtime", "modified", "created")
_VERSIONS = ("ETag", "etag", "generation", "md5Hash")


class CohortFileStore:
    """A folder of cohort files; ``core.export.file_set_source.CohortFolder`` says what each method promises."""

    def __init__(self, root: Root, place: str) -> None:
        """Take the folder, and its name for messages; no request is sent."""
        self.place = place
        self._root = root
        # On Airflow 2.11 an ObjectStoragePath is a pathlib.Path too, but not of a local folder.
        self._folder = root if isinstance(root, Path) and not hasattr(type(root), "fs") else None

    def __repr__(self) -> str:
        """Name the folder."""
        return f"CohortFileStore({self.place!r})"

    def list_files(self, prefix: str) -> Sequence[ListedFile]:
        """Return the files directly in the folder whose names begin so."""
        with self._translated(prefix):
            if self._folder is not None:
                return _list_local(self._folder, prefix)
            fs, path = self._file_system()
            try:
                entries = _entries(fs, path, prefix)
            except FileNotFoundError as error:
                # A bucket's folder comes into being with its first file; a bucket does not.
                if not is_absence(error, path, response_of(error)):
                    raise
                return []
            return [_listed(fs, entry, path) for entry in entries if _is_in(entry, path, prefix)]

    def fetch(self, name: str, to: Path) -> bool:
        """Copy a file, byte for byte; return whether there is one."""
        with self._translated(name):
            try:
                if self._folder is not None:
                    _copy_local(self._folder / name, to)
                else:
                    fs, path = self._file_system()
                    fs.get_file(f"{path}/{name}", str(to))
            except FileNotFoundError:
                to.unlink(missing_ok=True)
                return False
            return True

    def _file_system(self) -> tuple[Any, str]:
        """Return the file system, which keeps no listing, and the folder on it."""
        root: Any = self._root
        fs = root.fs
        if getattr(fs, "_pid", os.getpid()) != os.getpid():
            # Airflow keeps file systems and forks; fsspec's asynchronous ones do not survive a fork.
            fs = type(fs)(*fs.storage_args, **fs.storage_options)
        if hasattr(fs, "dircache"):
            fs.dircache.use_listings_cache = False
            fs.dircache.clear()
        return fs, str(root.path).rstrip("/")

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        try:
            yield
        except AmplitudeSegmentError:
            raise
        except Exception as error:
            if self._folder is not None and isinstance(error, OSError):
                failed = folder_error(error, self.place, name)
            else:
                failed = store_error(error, self.place, name, str(getattr(self._root, "path", "")))
            kind = CohortFilesUnavailableError if failed.retryable else CohortFilesAccessError
            raise kind(self.place, failed.reason, getattr(error, "advice", "")) from error


def _list_local(folder: Path, prefix: str) -> list[ListedFile]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and entry.is_file():
                stat = entry.stat()
                found.append(ListedFile(entry.name, stat.st_size, stat.st_mtime, str(stat.st_mtime_ns)))
    return found


def _copy_local(file: Path, to: Path) -> None:
    with file.open("rb") as source, ScratchFile(to) as copy:
        while chunk := source.read(1 << 20):
            copy.write(chunk)


def _entries(fs: Any, path: str, prefix: str) -> list[Mapping[str, Any]]:
    """List the folder; only the names with the prefix where the store can, because a bucket keeps many hours' files."""
    find = getattr(fs, "_find", fs.find)
    if prefix and "prefix" in inspect.signature(find).parameters:
        return list(fs.find(path, prefix=prefix, detail=True).values())
    return list(fs.ls(path, detail=True))


def _is_in(entry: Mapping[str, Any], path: str, prefix: str) -> bool:
    folder, _, name = str(entry["name"]).rpartition("/")
    return entry["type"] == "file" and folder.strip("/") == path.strip("/") and name.startswith(prefix)


def _listed(fs: Any, entry: Mapping[str, Any], path: str) -> ListedFile:
    name = str(entry["name"]).rpartition("/")[2]
    moment = next((entry[key] for key in _TIMES if entry.get(key) is not None), None)
    written_at = _seconds(fs.modified(f"{path}/{name}") if moment is None else moment)
    version = next((str(entry[key]) for key in _VERSIONS if entry.get(key)), "")
    return ListedFile(name, int(entry["size"]), written_at, f"{version} {written_at}")


def _seconds(moment: object) -> float:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(moment, int | float):
        return float(moment)
    raise TypeError(type(moment).__name__)
