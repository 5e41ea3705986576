"""Where ledgers are kept: the parameter, else the configuration, else a folder in Airflow's home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SettingError, StatePathError
from airflow_provider_amplitude_segment.transfers.parameters import is_none

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import ObjectRoot, Root

_TAKES = "an absolute path, or a URL that ObjectStoragePath takes (file://, s3://connection@bucket/…, gs://…)"

_BUCKET_STORES = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "adl"})


def state_root(state_path: object) -> Root:
    """Return the root of all ledgers; nothing is read or written yet.

    :param state_path: the operator's parameter; none means ``[amplitude_segment] state_path``, and where that is empty
        the folder ``amplitude_segment`` in ``AIRFLOW_HOME``.
    :raises SettingError: it is no absolute path and no URL, or a URL with a password or without a bucket.
    :raises StatePathError: no file system is installed for the URL.
    """
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - not while a DAG is parsed
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    if is_none(state_path):
        state_path = conf.get("amplitude_segment", "state_path", fallback="") or ""
    if is_none(state_path):
        return Path(AIRFLOW_HOME) / "amplitude_segment"
    text = str(state_path).strip()
    _refuse_password(text)
    if "://" not in text or text.startswith("file://"):
        path = Path(text.removeprefix("file://"))
        if not path.is_absolute():
            raise SettingError("state_path", f"got the relative path {text!r}", _TAKES)
        return path
    return _object_root(text)


def _refuse_password(text: str) -> None:
    """Refuse ``s3://key:secret@bucket``: the parameter is shown in the UI, in logs and in errors."""
    user_info, at, _ = text.rpartition("://")[2].partition("@")
    if at and ":" in user_info and not text.startswith("/"):
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
