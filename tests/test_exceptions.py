"""Errors as Airflow, a retry policy and another process meet them."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from airflow_provider_amplitude_segment import exceptions
from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

ERRORS = [
    found
    for _, found in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(found, AmplitudeSegmentError) and "__init__" in vars(found)
]

# What stands for a value of each kind, by the annotation.
VALUES: dict[str, object] = {
    "str": "segment_default",
    "str | None": "2026-12-01",
    "int": 7,
    "int | None": 429,
    "float": 0.5,
    "float | None": 30.0,
    "object": 2,
    "list[int]": [1, 2],
    "Sequence[str]": ["c1", "c2"],
    "dict[str, Any]": {"max_exit_ratio": None},
    "Mapping[str, Any]": {"cohort_id": "26umsb5"},
}


def made(kind: type[AmplitudeSegmentError]) -> AmplitudeSegmentError:
    """One error of a kind, with a value for everything it takes."""
    parameters = list(inspect.signature(kind).parameters.values())
    return kind(*(VALUES[str(parameter.annotation)] for parameter in parameters))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_crosses_a_process_whole(kind: type[AmplitudeSegmentError]) -> None:
    """With its text, its attributes and its class, which rules and callbacks go by."""
    error = made(kind)

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
        assert type(again) is kind
        assert (str(again), vars(again), again.args) == (str(error), vars(error), error.args)
        assert again.retryable is kind.retryable


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_found_by_its_path_below_the_one_root(kind: type[AmplitudeSegmentError]) -> None:
    """As a rule of a retry policy names it."""
    assert kind.__module__ == "airflow_provider_amplitude_segment.exceptions"
    assert getattr(exceptions, kind.__qualname__) is kind
    assert isinstance(made(kind), AmplitudeSegmentError)
