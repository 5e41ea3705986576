"""Whether an error means that an object of the state path is absent, or that another file is missing.

Libraries read files of their own, such as a web identity's token, a key or a configuration. Where one of those is
missing, Python raises the same ``FileNotFoundError`` that a file system raises for an absent object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.store_response import StoreResponse


def is_absence(error: OSError, path: str, response: StoreResponse | None) -> bool:
    """Return whether an error means that there is nothing at ``path``.

    Either the store's error code says so, or the file system names the path. Sources:
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList and
    https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes; ``_info`` and ``_ls`` at
    https://github.com/fsspec/s3fs/blob/main/s3fs/core.py; ``validate_response`` at
    https://github.com/fsspec/gcsfs/blob/main/gcsfs/retry.py, which names the URL.

    Args:
        error: "no such file", or "not a folder".
        path: of the object or the folder, on its file system.
        response: the store's response behind the error; ``None`` where there is none.

    >>> import errno
    >>> def is_about(error, response=None):
    ...     return is_absence(error, "bucket/a/claim-1.json", response)
    >>> is_about(FileNotFoundError("bucket/a/claim-1.json"))
    True
    >>> is_about(FileNotFoundError("https://storage.googleapis.com/storage/v1/b/bucket/o/a%2Fclaim-1.json?alt=media"))
    True
    >>> is_about(FileNotFoundError(errno.ENOENT, "No such file or directory", "/var/run/secrets/token"))
    False
    >>> is_about(FileNotFoundError("Not Found")), is_about(FileNotFoundError(errno.ENOENT, "No such file"))
    (False, False)
    >>> from airflow_provider_amplitude_segment.core.ledger.store_response import StoreResponse
    >>> missing = FileNotFoundError("The specified key does not exist.")
    >>> is_about(missing, StoreResponse(404, "NoSuchKey")), is_about(missing, StoreResponse(404, "NoSuchBucket"))
    (True, False)
    """
    if response is not None and response.code:
        return response.says_absent
    return _names_object(error, path)


def _names_object(error: OSError, path: str) -> bool:
    """Return whether an error names ``path``, in any form that file systems use."""
    named = _named(error)
    if named is None:
        return False
    if named.partition("://")[2].strip("/") == path.strip("/") or named.strip("/") == path.strip("/"):
        return True
    bucket, _, key = path.strip("/").partition("/")
    return f"/{unquote(named.partition('?')[0])}".endswith(f"/b/{bucket}/o/{key}")


def find_other_file(error: BaseException, root: str) -> str | None:
    """Return the worker's own file that an error names; ``None`` where it names none, or a part of the state path.

    Args:
        error: as it was raised.
        root: the state path on its file system.

    >>> import errno
    >>> find_other_file(PermissionError(errno.EACCES, "Permission denied", "/run/token"), "bucket/state")
    '/run/token'
    >>> find_other_file(FileNotFoundError(errno.ENOENT, "", "/mnt/state/a/claim-1.json"), "/mnt/state") is None
    True
    >>> find_other_file(FileNotFoundError(errno.ENOENT, "No such container", "bucket"), "bucket/state") is None
    True
    """
    named = _named(error) if isinstance(error, OSError) else None
    if named is None or not named.startswith("/"):
        return None
    is_below = f"{named.strip('/')}/".startswith(f"{root.strip('/')}/")
    return None if is_below else named


def _named(error: OSError) -> str | None:
    """Return the file that an error names: its ``filename``, else its only argument."""
    if error.filename is not None:
        return str(error.filename)
    return error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else None
