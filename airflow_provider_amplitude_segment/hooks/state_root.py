"""From the place where ledgers are kept, as text, to the root that the ledger store is handed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SettingError, StatePathError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import Root

_TAKES = "an absolute path, or a URL that ObjectStoragePath takes (file://, s3://connection@bucket/…, gs://…)"


def open_state_root(place: str) -> Root:
    """Return the root of all ledgers; nothing is read or written yet.

    :param place: an absolute path, or a URL.
    :raises SettingError: it is neither.
    :raises StatePathError: no file system is installed for the URL.
    """
    if "://" in place and not place.startswith("file://"):
        return _object_root(place)
    path = Path(place.removeprefix("file://"))
    if not path.is_absolute():
        raise SettingError("state_path", f"got the relative path {place!r}", _TAKES)
    return path


def _object_root(url: str) -> Root:
    from airflow.providers.common.compat.sdk import ObjectStoragePath  # noqa: PLC0415 - not while a DAG is parsed

    try:
        root: Root = ObjectStoragePath(url)
        # The file system is looked up at the first use; better here, where nothing was asked of anybody.
        root.fs  # type: ignore[attr-defined]  # noqa: B018
    except (ValueError, ImportError, OSError) as error:
        raise StatePathError(
            url, f"no file system for it ({type(error).__name__}); install the extra for it (s3, gcs, azure)"
        ) from error
    return root
