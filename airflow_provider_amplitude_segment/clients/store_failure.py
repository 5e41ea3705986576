"""Translate an error of a state path's file system into one that says what happened and whether a retry may help."""

from __future__ import annotations

import errno

from airflow_provider_amplitude_segment.clients.store_response import response_of
from airflow_provider_amplitude_segment.core.engine.scratch import NO_ROOM
from airflow_provider_amplitude_segment.core.ledger.absence import find_other_file
from airflow_provider_amplitude_segment.core.ledger.store_fault import find_store_fault
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError

# Lasting: no such place, no right to it, not writable, something else in its place.
_LASTING = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.ENOTSUP,
        errno.ELOOP,
        errno.ENAMETOOLONG,
    }
)
# Object stores raise these without a number.
_LASTING_KINDS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError, FileExistsError)

# Parts of the names of boto's errors, which are not OSErrors; boto is not imported here.
_LASTING_NAMES = ("Credentials", "ParamValidation", "NoLength")
_WORDS = {
    "ParamValidationError": "no bucket can have this name (ParamValidationError)",
    "FlexibleChecksumError": "an object has another checksum than when it was put",
    "ResponseParserError": "the response is not one of an object store, or only a part of one",
    "NoLengthError": "the responses do not say how long an object is; a proxy on the way may drop Content-Length",
}

# Libraries raise these for a connection's field that they cannot use; Airflow raises AirflowException.
_FIELD_KINDS = (AttributeError, KeyError, NotImplementedError, TypeError, ValueError)
_FIELD_NAMES = frozenset({"AirflowException"})
_FILE_ADVICE = (
    "Check that each worker has the files that the credentials of the state path's connection, or of the worker, name "
    "(a mounted token, a key), and that Airflow's user may read them."
)
_WHILE_OPENING = "while the connection that it names was opened"


def folder_error(error: OSError, place: str, name: str) -> StatePathError:
    """Return the error of a folder on the worker's own file system.

    Args:
        error: as the file system raised it.
        place: the state path, for the message.
        name: the object or the folder below it.
    """
    reason, advice = error.strerror or type(error).__name__, getattr(error, "advice", "")
    if error.errno in NO_ROOM:
        advice = "Give it more space, inodes or quota."
    lasting = error.errno in _LASTING or (error.errno is None and isinstance(error, _LASTING_KINDS))
    kind = StatePathError if lasting else StateUnavailableError
    return kind(place, f"{reason}{_at(name)}", advice)


def store_error(error: Exception, place: str, name: str, root: str) -> StatePathError:
    """Return the error of an object store, without a foreign text, which may quote a URL with credentials.

    Args:
        error: as its file system raised it.
        place: the state path, for the message.
        name: the object or the folder below it.
        root: the state path on its file system.
    """
    said = _said(error, place, _at(name), root)
    if said is not None:
        return said
    if isinstance(error, OSError):
        return folder_error(error, place, name)
    # s3fs reads an object's length from the response without a check that it has one.
    is_length = isinstance(error, KeyError) and error.args == ("ContentLength",)
    kind_name = "NoLengthError" if is_length else type(error).__name__
    lasting = isinstance(error, ImportError) or any(part in kind_name for part in _LASTING_NAMES)
    kind = StatePathError if lasting else StateUnavailableError
    return kind(place, f"{_WORDS.get(kind_name, kind_name)}{_at(name)}")


def opening_error(error: Exception, place: str) -> StatePathError:
    """Return the error of a file system that could not be opened with the connection that a state path names.

    Args:
        error: as Airflow, or a library below it, raised it.
        place: the state path, for the message.
    """
    said = _said(error, place, f", {_WHILE_OPENING}", "", "Check the credentials and the role of that connection.")
    if said is not None:
        return said
    kind_name = type(error).__name__
    if isinstance(error, _FIELD_KINDS) or kind_name in _FIELD_NAMES:
        advice = "Check the fields and Extra of that connection; the log has its library's error."
        return StatePathError(place, f"a field cannot be used ({kind_name}), {_WHILE_OPENING}", advice)
    return StateUnavailableError(place, f"{_WORDS.get(kind_name, kind_name)}, {_WHILE_OPENING}")


def _said(error: Exception, place: str, at: str, root: str, advice: str = "") -> StatePathError | None:
    """Return the error where a response, a network fault, or a file of the worker is the cause; else ``None``."""
    if (response := response_of(error)) is not None:
        kind = StatePathError if response.is_lasting else StateUnavailableError
        return kind(place, f"{response}{at}", advice)
    if (fault := find_store_fault(error)) is not None:
        kind = StatePathError if fault.is_lasting else StateUnavailableError
        return kind(place, f"{fault.reason}{at}", fault.advice)
    # A copy that finds no room names its source file, which is not the cause.
    file = find_other_file(error, root) if isinstance(error, _LASTING_KINDS) else None
    is_nameless = isinstance(error, FileNotFoundError) and error.errno is not None and error.filename is None
    if file is None and not is_nameless:
        return None
    # A file that another program writes or mounts, such as a token, may come back.
    kind = StatePathError if isinstance(error, PermissionError) else StateUnavailableError
    reason = getattr(error, "strerror", None) or type(error).__name__
    return kind(place, f"{file or 'a file'} of this worker is needed for it: {reason}{at}", _FILE_ADVICE)


def _at(name: str) -> str:
    """Return the part of a message that names the object or folder; empty for the root."""
    return f", at {name}" if name else ""
