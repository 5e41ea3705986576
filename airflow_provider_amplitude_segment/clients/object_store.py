"""Objects of a bucket (``s3://``, ``gs://``, ``abfs://``) behind its fsspec file system, as a ledger needs them.

This module avoids what fsspec does by default and a ledger cannot use: listings and sizes come from a cache that misses
another process's writes; ``with open("wb")`` commits half an object when its body fails; and where a server does not
know the conditional put, exclusive creation overwrites silently. A response without an announced end may be cut without
an error, so the length read is compared with the size that the store reports.
"""

from __future__ import annotations

import errno
import inspect
import os
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.clients.refused_header import find_refused
from airflow_provider_amplitude_segment.clients.store_response import response_of
from airflow_provider_amplitude_segment.core.http.response_body import read_object
from airflow_provider_amplitude_segment.core.ledger.absence import find_other_file, is_absence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOT_EXCLUSIVE = (
    "it cannot create an object only where none is, so two runs could claim one cohort at once; "
    "the documents name places that can (docs/reference/configuration.md, Object stores)"
)

# A file is transferred in parts of 8 MiB, four at a time; the libraries' default is ten parts of 50 MiB.
_PARTS = {"chunksize": 8 << 20, "max_concurrency": 4}

_TAKEN_STATUS = frozenset({409, 412})


class ObjectStore:
    """Objects below a path of a file system; errors are the file system's own.

    One object is one request, which arrives whole or not at all; a large file goes up in parts, which become one
    object at the end.
    """

    def __init__(self, fs: Any, path: str) -> None:
        """Take an fsspec file system and a path on it."""
        if getattr(fs, "_pid", os.getpid()) != os.getpid():
            # Airflow keeps file systems and forks; fsspec's asynchronous ones do not survive a fork.
            fs = type(fs)(*fs.storage_args, **fs.storage_options)
        if hasattr(fs, "dircache"):
            # Switched off, because another thread's older listing could fill a cache that is emptied before each use.
            fs.dircache.use_listings_cache = False
            fs.dircache.clear()
        self._fs = fs
        self._path = path.rstrip("/")
        self._is_exclusive = False

    def put(self, name: str, content: bytes) -> None:
        """Write an object over the one before."""
        self._write(name, lambda target: self._fs.pipe_file(target, content))

    def put_file(self, name: str, path: Path) -> None:
        """Write a local file as an object."""
        parts = self._parts("put_file")
        self._write(name, lambda target: self._fs.put_file(str(path), target, **parts))

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not exist yet; return whether the object there is ours.

        No other writer may write the same content. A library that misses the response sends the request again, and
        gets the response that the object exists; equal content shows that it is its own.

        Raises:
            OSError: ``ENOTSUP``, the store overwrites where it must only create.
        """
        target = self._at(name)
        if not self._is_created(target, content):
            return self.get(name) == content
        if not self._is_exclusive:
            # The first object is created twice, with the same content, to see whether the store refuses the second.
            if self._is_created(target, content):
                raise OSError(errno.ENOTSUP, _NOT_EXCLUSIVE)
            self._is_exclusive = True
        return True

    def get(self, name: str) -> bytes | None:
        """Return a whole object, never its beginning; ``None`` where there is none."""
        try:
            content = bytes(self._fs.cat_file(self._at(name)))
            # A whole JSON object is no part of one. Another object is read again if a part of it came, because its
            # owner may be writing it, or a proxy may have cut the response.
            if read_object(content) is None and len(content) < (whole := self._size(name)):
                content = bytes(self._fs.cat_file(self._at(name)))
                self._refuse_part(name, len(content), whole)
        except FileNotFoundError as error:
            self._require_absence(error, name)
            return None
        return content

    def get_file(self, name: str, to: Path) -> bool:
        """Copy an object into a local file; return whether there is one."""
        try:
            self._fs.get_file(self._at(name), str(to), **self._parts("get_file"))
            self._refuse_part(name, to.stat().st_size, self._size(name))
        except FileNotFoundError as error:
            self._require_absence(error, name)
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """Return the names of the objects and folders right below a folder."""
        path = self._at(folder)
        try:
            listed = [str(entry).rstrip("/") for entry in self._fs.ls(path, detail=False)]
        except (FileNotFoundError, NotADirectoryError) as error:
            self._require_absence(error, folder)
            return []
        # Consoles make an empty object for a "folder", which is listed below itself.
        return [entry.rpartition("/")[2] for entry in listed if entry.strip("/") != path.strip("/")]

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        try:
            self._fs.rm_file(self._at(name))
        except FileNotFoundError as error:
            self._require_absence(error, name)

    def folders(self, folder: str) -> list[str]:
        """Return the names of the folders right below a folder."""
        path = self._at(folder)
        try:
            listed = [str(entry["name"]) for entry in self._fs.ls(path, detail=True) if entry["type"] == "directory"]
        except (FileNotFoundError, NotADirectoryError) as error:
            self._require_absence(error, folder)
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in listed if name.strip("/") != path.strip("/")]

    def _require_absence(self, error: OSError, name: str) -> None:
        """Raise the error again unless the object is absent: the bucket or a credentials' file may be missing."""
        if not is_absence(error, self._at(name), response_of(error)):
            raise error

    def _size(self, name: str) -> int:
        return int(self._fs.info(self._at(name))["size"])

    def _refuse_part(self, name: str, received: int, whole: int) -> None:
        if received < whole:
            raise OSError(errno.EIO, f"only {received:,} of {whole:,} bytes of {name} came")

    def _at(self, name: str) -> str:
        return f"{self._path}/{name}" if name else self._path

    def _write(self, name: str, write: Callable[[str], None]) -> None:
        try:
            write(self._at(name))
        except OSError as error:
            self._refuse_header(error)
            raise

    def _is_created(self, target: str, content: bytes) -> bool:
        """Return whether the object was created; ``False`` where one exists, or another writer is creating it."""
        if not getattr(self._fs, "async_impl", False):
            # fsspec's own pipe_file checks first and then writes, so two writers could both succeed.
            raise OSError(errno.ENOTSUP, _NOT_EXCLUSIVE)
        try:
            # One conditional request. An interrupted open("xb") would put an empty object without the condition.
            self._fs.pipe_file(target, content, mode="create")
        except FileExistsError as error:
            if find_other_file(error, self._path) is not None:
                raise
            return False
        except (NotImplementedError, TypeError, ValueError) as error:
            if response_of(error) is not None:
                raise
            # Libraries that do not know the mode raise these.
            raise OSError(errno.ENOTSUP, _NOT_EXCLUSIVE) from error
        except OSError as error:
            response = response_of(error)
            if response is not None and response.status in _TAKEN_STATUS:
                return False
            self._refuse_header(error, is_conditional=True)
            raise
        return True

    def _refuse_header(self, error: OSError, *, is_conditional: bool = False) -> None:
        """Raise ``HeaderRefusedError`` where a put failed because the store does not know one of its headers."""
        response = response_of(error)
        refused = response and find_refused(self._fs, self._path, response, is_conditional=is_conditional)
        if refused:
            raise refused from error

    def _parts(self, method: str) -> dict[str, int]:
        """Return the arguments for parts that this file system's method accepts."""
        carry = getattr(self._fs, f"_{method}", None) or getattr(self._fs, method)
        known = inspect.signature(carry).parameters
        return {name: value for name, value in _PARTS.items() if name in known}
