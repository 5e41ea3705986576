"""The place of the ledgers: objects below a root, which is a local folder or any path-like root.

The ledger relies only on: put one object whole, create exclusively, get, list, delete. In a local folder an object is
written under another name and renamed, and only its owner can read it. Elsewhere ``object_store`` uses the file system
that the root names.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.clients.object_store import ObjectStore
from airflow_provider_amplitude_segment.clients.store_failure import folder_error, store_error
from airflow_provider_amplitude_segment.core.engine.scratch import (
    NO_ROOM,
    ScratchFile,
    on_scratch,
    remove_scratch,
    scratch_chunks,
    scratch_error,
)
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Errors of mounted file systems that cannot sync a folder.
_NO_FOLDER_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})


class ObjectRoot(Protocol):
    """A path that is not a ``pathlib.Path``, such as Airflow's ``ObjectStoragePath``."""

    @property
    def fs(self) -> Any:
        """Return the fsspec file system."""

    @property
    def path(self) -> str:
        """Return the path on it."""


Root = Path | ObjectRoot


class LedgerStore:
    """Objects below a root; ``core.ledger.stream.Store`` says what each method promises."""

    def __init__(self, root: Root) -> None:
        self._root = root
        # On Airflow 2.11 an ObjectStoragePath is a pathlib.Path too, but not of a local folder.
        self._folder = root if isinstance(root, Path) and not hasattr(type(root), "fs") else None

    def __repr__(self) -> str:
        """Name the root."""
        return f"LedgerStore({str(self._root)!r})"

    def put(self, name: str, content: bytes) -> None:
        """Write an object whole or not at all, over what was there."""
        with self._translated(name):
            if self._folder is None:
                self._objects.put(name, content)
                return
            with _writing(self._folder / name) as file:
                file.write(content)

    def put_file(self, name: str, path: Path) -> None:
        """Write a local file as an object, whole or not at all."""
        with self._translated(name):
            if self._folder is None:
                # An error of the local file itself is raised here, so that a later one is the store's.
                with on_scratch(path):
                    path.open("rb").close()
                self._objects.put_file(name, path)
                return
            with _writing(self._folder / name) as file:
                for chunk in scratch_chunks(path):
                    file.write(chunk)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not exist yet; return whether this call created it."""
        with self._translated(name):
            if self._folder is None:
                return self._objects.create(name, content)
            return _create(self._folder / name, content)

    def get(self, name: str) -> bytes | None:
        """Return an object, or ``None`` where there is none."""
        with self._translated(name):
            if self._folder is None:
                return self._objects.get(name)
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def get_file(self, name: str, to: Path) -> bool:
        """Copy an object into a local file; return whether there is one."""
        with self._translated(name):
            if self._folder is None:
                return self._get_object(self._objects, name, to)
            try:
                file = (self._folder / name).open("rb")
            except FileNotFoundError:
                return False
            with file, ScratchFile(to) as copy:
                while chunk := file.read(1 << 20):
                    copy.write(chunk)
            return True

    def names(self, folder: str) -> list[str]:
        """Return the names, without the folder, of the objects right below it, in any order."""
        with self._translated(folder):
            if self._folder is None:
                return self._objects.names(folder)
            try:
                return [entry.name for entry in (self._folder / folder).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def delete(self, name: str) -> None:
        """Remove an object, if there is one."""
        with self._translated(name):
            if self._folder is None:
                self._objects.delete(name)
                return
            (self._folder / name).unlink(missing_ok=True)

    def folders(self, folder: str) -> list[str]:
        """Return the names, without the folder, of the folders right below it, in any order."""
        with self._translated(folder):
            if self._folder is None:
                return self._objects.folders(folder)
            try:
                with os.scandir(self._folder / folder) as entries:
                    return [entry.name for entry in entries if entry.is_dir()]
            except (FileNotFoundError, NotADirectoryError):
                return []

    def locate(self, name: str) -> str:
        """Return an object's path or URL, for messages."""
        return f"{str(self._root).rstrip('/')}/{name}"

    def _get_object(self, objects: ObjectStore, name: str, to: Path) -> bool:
        """Copy an object; raise the local file's errors as such, because the file system writes that file by itself."""
        with ScratchFile(to):
            # A folder that takes no file raises now.
            pass
        try:
            is_there = objects.get_file(name, to)
        except OSError as error:
            if error.errno in NO_ROOM or error.filename == str(to):
                raise scratch_error(to, error) from error
            raise
        if not is_there:
            remove_scratch(to)
        return is_there

    @cached_property
    def _objects(self) -> ObjectStore:
        root: Any = self._root
        return ObjectStore(root.fs, root.path)

    @contextmanager
    def _translated(self, name: str) -> Iterator[None]:
        """Raise every foreign error as ``StatePathError``, because its text may quote a URL with credentials."""
        try:
            yield
        except AmplitudeSegmentError:
            raise
        except Exception as error:
            if self._folder is None:
                root: Any = self._root
                raise store_error(error, str(root), name, root.path) from error
            if isinstance(error, OSError):
                raise folder_error(error, str(self._root), name) from error
            raise


@contextmanager
def _writing(target: Path) -> Iterator[IO[bytes]]:
    temporary = _temporary_name(target)
    is_new = not target.exists()
    try:
        with _open_private(temporary) as file:
            yield file
            _flush(file)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # Only claims, journals, checkpoints and hints are written again: a power failure may leave the one before.
    if is_new:
        _flush_folder(target.parent)


def _create(target: Path, content: bytes) -> bool:
    """Link a finished file to its place, which fails if one exists; so no reader sees half a claim."""
    temporary = _temporary_name(target)
    try:
        with _open_private(temporary) as file:
            file.write(content)
            _flush(file)
        try:
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:
            # Some mounted file systems have no hard links. A reader takes half a claim for one of a dead writer.
            with _open_private(target) as file:
                file.write(content)
                _flush(file)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(target.parent)
    return True


def _temporary_name(target: Path) -> Path:
    _make_private(target.parent)
    return target.parent / f".{target.name}.{secrets.token_hex(8)}"


def _make_private(folder: Path) -> None:
    """Make a folder and those above it, each readable by its owner only, as ``mkdir(parents=True)`` does not."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _open_private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename last over a power failure, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)
