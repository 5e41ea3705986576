"""Where ledgers are kept: the parameter, else the configuration, else a folder in Airflow's home."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import SettingError, StatePathError
from airflow_provider_amplitude_segment.transfers.parameters import is_none

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import Root

_EXECUTORS_OF_ONE_MACHINE = frozenset({"LocalExecutor", "SequentialExecutor", "DebugExecutor"})

_TAKES = "an absolute path, or a URL that ObjectStoragePath takes (file://, s3://connection@bucket/…, gs://…)"


def state_root(state_path: object) -> Root:
    """Return the root of all ledgers; nothing is read or written yet.

    :param state_path: the operator's parameter; none means ``[amplitude_segment] state_path``, and where that is empty
        the folder ``amplitude_segment`` in ``AIRFLOW_HOME``.
    :raises SettingError: it is no absolute path and no URL.
    :raises StatePathError: no file system is installed for the URL.
    """
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - not while a DAG is parsed
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415

    if is_none(state_path):
        state_path = conf.get("amplitude_segment", "state_path", fallback="") or ""
    if is_none(state_path):
        return Path(AIRFLOW_HOME) / "amplitude_segment"
    text = str(state_path).strip()
    if "://" not in text or text.startswith("file://"):
        path = Path(text.removeprefix("file://"))
        if not path.is_absolute():
            raise SettingError("state_path", f"got the relative path {text!r}", _TAKES)
        return path
    return _object_root(text)


def is_one_machines_own(root: Root, executors: str) -> bool:
    """Tell whether state is kept on a machine's own disk while tasks may run on several.

    A shared file system is mounted somewhere; what lies on the root file system is the machine's own, or the
    container's, for certain.

    :param root: of all ledgers.
    :param executors: ``[core] executor``: a name or a class, several separated by commas, by teams where there are any.

    >>> is_one_machines_own(Path("/opt/airflow/amplitude_segment"), "LocalExecutor")
    False
    """
    names = {name.rpartition(".")[2] for name in re.split(r"[,;:=\s]+", executors)}
    spread = {name for name in names if name.endswith("Executor")} - _EXECUTORS_OF_ONE_MACHINE
    if not spread or not isinstance(root, Path):
        return False
    return not any(folder.is_mount() for folder in [root, *root.parents][:-1])


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
