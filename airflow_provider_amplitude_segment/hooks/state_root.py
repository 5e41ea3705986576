"""From the place where ledgers are kept, as text, to the root that the ledger store is handed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SettingError, StatePathError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import ObjectRoot, Root

_TAKES = "an absolute path, or a URL that ObjectStoragePath takes (file://, s3://connection@bucket/…, gs://…)"

LOCAL_SCHEMES = frozenset({"file", "local"})
"""Names of the worker's own file system, whose files are kept readable by their owner only."""

_BUCKET_STORES = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "adl"})


def open_state_root(place: str) -> Root:
    """Return the root of all ledgers; nothing is read or written yet.

    :param place: an absolute path, or a URL.
    :raises SettingError: it is neither, or a URL with a password or without a bucket.
    :raises StatePathError: no file system is installed for the URL.
    """
    scheme, _, rest = place.rpartition("://")
    if scheme and scheme.lower() not in LOCAL_SCHEMES:
        _refuse_password(place)
        return _object_root(place)
    path = Path(rest)
    if not path.is_absolute():
        _refuse_password(rest)
        raise SettingError("state_path", f"got the relative path {place!r}", _TAKES)
    return path


def _refuse_password(text: str) -> None:
    """Refuse ``s3://key:secret@bucket``: the parameter is shown in the UI, in logs and in errors."""
    user_info, at, _ = text.rpartition("://")[2].partition("@")
    if at and ":" in user_info:
        raise SettingError(
            "state_path", "got a URL with a password in it", "the ID of a connection there, s3://connection@bucket/…"
        )


def _object_root(url: str) -> Root:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath  # noqa: PLC0415 - as above

    scheme, _, rest = url.partition("://")
    if scheme.lower() in _BUCKET_STORES and not rest.partition("/")[0].rpartition("@")[2]:
        raise SettingError("state_path", f"got {url!r}, which names no bucket", _TAKES)
    try:
        root: ObjectRoot = ObjectStoragePath(url)
        # The file system is looked up at the first use; better here, where nothing was asked of anybody.
        root.fs  # noqa: B018
    except AirflowNotFoundException as error:
        raise StatePathError(url, "the connection it names does not exist") from error
    except (ValueError, ImportError, OSError) as error:
        raise StatePathError(
            url, f"no file system for it ({type(error).__name__}); install the extra for it (s3, gcs, azure)"
        ) from error
    return root
