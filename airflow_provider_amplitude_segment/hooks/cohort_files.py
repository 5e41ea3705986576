"""Turn ``cohort_files``, as text, into the folder that a sync reads Amplitude's cohort files from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.clients.cohort_file_store import CohortFileStore
from airflow_provider_amplitude_segment.exceptions import (
    CohortFilesAccessError,
    CohortFilesUnavailableError,
    SettingError,
    StatePathError,
)
from airflow_provider_amplitude_segment.hooks.state_root import local_path, open_object_root

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import Root


def open_cohort_files(place: str) -> CohortFileStore:
    """Return the folder, without a request.

    :param place: an absolute path, or a URL of ``ObjectStoragePath``, whose connection may stand before an ``@``.
    :raises SettingError: the place is neither.
    :raises CohortFilesAccessError: no file system is installed for the URL, or its connection cannot be used. It is a
        ``CohortFilesUnavailableError`` where its credentials could not be fetched, which is transient.
    """
    try:
        root: Root = local_path(place) or open_object_root(place, any_store=True)
    except SettingError as error:
        raise SettingError("cohort_files", error.problem, error.takes) from None
    except StatePathError as error:
        kind = CohortFilesUnavailableError if error.retryable else CohortFilesAccessError
        raise kind(place, error.reason) from error
    return CohortFileStore(root, place)
