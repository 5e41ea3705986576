"""The HTTP response is found behind the errors of each file system, which are not installed here but for S3's."""

from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.clients.store_response import response_of
from airflow_provider_amplitude_segment.core.ledger.store_response import StoreResponse
from airflow_provider_amplitude_segment.exceptions import StatePathError, StateUnavailableError


class HttpError(Exception):
    """As in gcsfs.retry."""

    def __init__(self, code: object) -> None:
        super().__init__("hush")
        self.code = code


class HttpResponseError(Exception):
    """As in azure.core.exceptions."""

    def __init__(self, status_code: int, error_code: object) -> None:
        super().__init__("hush")
        self.status_code, self.error_code = status_code, error_code


class StorageErrorCode(StrEnum):
    """As in azure.storage.blob."""

    DISABLED = "AccountIsDisabled"


ANSWERS = [
    (HttpError(501), StoreResponse(501), False),
    (HttpError("503"), StoreResponse(503), True),
    (OSError("Forbidden: https://storage.googleapis.com/b\nhush"), StoreResponse(403), False),
    (ValueError("Bad Request: https://storage.googleapis.com/b\nhush is invalid"), StoreResponse(400), False),
    (HttpResponseError(403, StorageErrorCode.DISABLED), StoreResponse(403, "AccountIsDisabled"), False),
    (HttpResponseError(409, "BlobBeingRehydrated"), StoreResponse(409, "BlobBeingRehydrated"), True),
    (HttpResponseError(500, None), StoreResponse(500), True),
]


class Failing:
    """A file system of which every listing fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def ls(self, *_: Any, **__: Any) -> list[str]:
        raise self.error


@pytest.mark.parametrize(("error", "response", "is_transient"), ANSWERS, ids=lambda value: type(value).__name__)
def test_a_stores_answer_is_found_and_decides_whether_a_retry_may_help(
    error: Exception, response: StoreResponse, *, is_transient: bool
) -> None:
    assert response_of(error) == response
    store = LedgerStore(SimpleNamespace(fs=Failing(error), path="bucket"))

    with pytest.raises(StatePathError, match=str(response)) as failed:
        store.names("a")
    assert isinstance(failed.value, StateUnavailableError) is is_transient
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize("error", [OSError("broken"), HttpError(None), KeyError("size"), ValueError("unknown mode")])
def test_an_error_without_an_answer_has_none(error: Exception) -> None:
    assert response_of(error) is None
