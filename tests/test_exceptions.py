"""Errors as Airflow, a retry policy and another process meet them."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from airflow_provider_amplitude_segment import exceptions
from airflow_provider_amplitude_segment.core.export.responses import MAYBE_SPENT
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeSegmentError,
    AmplitudeUnavailableError,
    CommitNotKeptError,
    ExportWaitError,
    StateMarkError,
    UserIdError,
    UserListError,
    XComValueError,
)

ALL = [
    found
    for _, found in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(found, AmplitudeSegmentError) and found.__init__ is not Exception.__init__
]
ERRORS = [kind for kind in ALL if "__init__" in vars(kind)]

# Raised on the command line, or in a task of the user's own, where no one class decides on a retry.
OUTSIDE_OF_OUR_TASKS = (UserListError, UserIdError, CommitNotKeptError, StateMarkError, XComValueError)

EFFECT = re.compile(
    r"Nothing was (sent|erased|changed)|No XCom was written|changes are not acknowledged|no change is lost|"
    r"stay delivered|are delivered|keeps the values|wrote nothing more"
)
ADVICE = re.compile(
    r"(If [^.:]+[,:] |For one trait, |This work needs about [^.]+\. )?"
    r"(check|choose|clear|export|give|install|let|raise|restore|return|run|set|split|sync|unarchive|use|wait)\b"
    r"|If it happens again, a proxy",
    re.IGNORECASE,
)

# What stands for a value of each kind, by the annotation.
VALUES: dict[str, object] = {
    "str": "segment_default",
    "str | None": "2026-12-01",
    "int": 7,
    "int | None": 429,
    "bool": True,
    "float": 0.5,
    "float | None": 30.0,
    "object": 2,
    "list[int]": [1, 2],
    "Sequence[str]": ["c1", "c2"],
    "dict[str, Any]": {"max_exit_ratio": None},
    "Mapping[str, Any]": {"cohort_id": "26umsb5"},
}

# What stands for a part of the message, by the parameter's name.
PARTS = {"advice": "Check the worker.", "effect": "Nothing was sent to Segment in this try."}

NOTHING: dict[str, object] = {"list[int]": [], "Sequence[str]": []}


def made(kind: type[AmplitudeSegmentError], *, is_bare: bool = False) -> AmplitudeSegmentError:
    """One error of a kind, with a value for everything it takes, or for as little as it can do with."""
    values: dict[str, object] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        annotation = str(parameter.annotation)
        values[name] = PARTS.get(name) or VALUES[annotation]
        if is_bare and parameter.default is not inspect.Parameter.empty:
            values[name] = parameter.default
        elif is_bare:
            values[name] = None if annotation.endswith("| None") else NOTHING.get(annotation, values[name])
    return kind(**values)


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


@pytest.mark.parametrize("is_bare", [False, True], ids=["all", "bare"])
@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_a_message_says_what_happened_the_effect_what_to_do_and_whether_it_is_retried(
    monkeypatch: pytest.MonkeyPatch, kind: type[AmplitudeSegmentError], is_bare: bool
) -> None:
    format_parts, parts = AmplitudeSegmentError._set_message, []

    def spy(error: AmplitudeSegmentError, *said: str) -> None:
        parts.append([part.rstrip(".") for part in said])
        format_parts(error, *said)

    monkeypatch.setattr(AmplitudeSegmentError, "_set_message", spy)
    text = str(made(kind, is_bare=is_bare))

    [(happened, effect, advice)] = parts
    retry = "Airflow retries this task." if kind.retryable else "Airflow does not retry this task."
    if kind in OUTSIDE_OF_OUR_TASKS:
        retry = "A retry does not help."
    assert text == f"{happened}. {effect}. {advice}. {retry}"
    assert happened
    assert not EFFECT.search(happened)
    assert EFFECT.search(effect)
    assert ADVICE.match(advice)
    assert not re.search(r"\.\.|  | \.|\bNone\b", text)


@pytest.mark.parametrize("kind", OUTSIDE_OF_OUR_TASKS, ids=lambda kind: kind.__name__)
def test_an_error_outside_of_our_tasks_does_not_speak_of_airflow(kind: type[AmplitudeSegmentError]) -> None:
    assert not kind.retryable
    assert "Airflow" not in str(made(kind))


def test_what_a_reason_says_of_exports_is_said_as_an_effect() -> None:
    error = AmplitudeUnavailableError("requesting an export", None, f"the response was cut off; {MAYBE_SPENT}")

    assert str(error).startswith(
        "Amplitude: requesting an export: no response (the response was cut off). Nothing was sent to Segment in this "
        "try. One of the month's exports may have been spent. If it happens again: Check"
    )


def test_an_error_of_the_triggerer_is_shown_with_the_parts_of_its_cause() -> None:
    cause = AmplitudeUnavailableError("asking after an export", 503, advice="Check the proxy.")

    assert str(ExportWaitError("R1", str(cause))) == (
        "Waiting for export R1 in the triggerer ended early: Amplitude: asking after an export: HTTP 503. Nothing was "
        "sent to Segment in this try. The next try waits for the same export. If it happens again: Check the proxy. "
        "See also the triggerer's log. Airflow retries this task."
    )


def test_what_cures_a_list_of_users_stands_where_what_to_do_is() -> None:
    assert str(UserListError("line 3 has a NUL character. Save it as UTF-8")).startswith(
        "The list of user IDs cannot be used: line 3 has a NUL character. Nothing was erased. Save it as UTF-8. Give a "
    )
