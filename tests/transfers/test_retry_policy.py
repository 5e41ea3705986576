"""How an error ends a task under Airflow's retries, and under a retry policy where there are such (Airflow 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from airflow.providers.common.compat import sdk
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.exceptions import CohortNotFoundError, ExportTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_amplitude_segment.sandbox import Sandbox

_DAG = """
import json
import pendulum
from datetime import timedelta
from airflow.providers.common.compat.sdk import DAG
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator
{imports}

def note(context):
    error = context["exception"]
    with open(NOTES, "a") as notes:
        print(type(error).__module__ + "." + type(error).__qualname__, file=notes)

with DAG("retried", schedule=None, start_date=pendulum.datetime(2025, 1, 1, tz="UTC"), catchup=False):
    AmplitudeCohortToSegmentOperator(
        task_id="sync", cohort_id=COHORT, state_path=STATE, poll_interval=0.05, export_timeout=0.1,
        retries=2, retry_delay=timedelta(0), on_retry_callback=note, on_failure_callback=note, {more}
    )
"""

_POLICY = """
from airflow.providers.common.compat.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
POLICY = ExceptionRetryPolicy([RetryRule("airflow_provider_amplitude_segment.exceptions.{error}", {action})])
"""

_NOW = "RetryAction.RETRY, retry_delay=timedelta(0)"

# A rule's error and what it says, and how often a task then tries whose export never completes.
RULES = [
    (None, None, 3),
    *(
        [
            ("ExportTimeoutError", "RetryAction.FAIL", 1),
            ("ExportTimeoutError", _NOW, 3),
            ("ExportError", "RetryAction.FAIL", 1),
            ("AmplitudeSegmentError", "RetryAction.FAIL", 1),
            ("SegmentUnavailableError", "RetryAction.FAIL", 3),
        ]
        # Airflow 2.11 knows retries alone.
        if hasattr(sdk, "ExceptionRetryPolicy")
        else []
    ),
]


def run(folder: Path, cohort_id: str, error: str | None, action: str | None) -> tuple[int, list[str]]:
    """Run the task until it is given up; return its tries, and the class of what each try ended with."""
    file, notes = folder / "retried.py", folder / "notes"
    text = _DAG.format(
        imports=_POLICY.format(error=error, action=action) if error else "",
        more="retry_policy=POLICY," if error else "",
    )
    for constant, value in {"NOTES": notes, "STATE": folder / "state", "COHORT": cohort_id}.items():
        text = text.replace(constant, repr(str(value)))
    file.write_text(text)
    result = parse_dag(file).test()
    assert result.state == "failed"
    return result.get_task_instance("sync").try_number, notes.read_text().splitlines()


@pytest.mark.usefixtures("forgetful_airflow")
@pytest.mark.parametrize(("error", "action", "tries"), RULES)
def test_a_rule_by_an_errors_path_decides_on_a_retry(
    sandbox: Sandbox, tmp_path: Path, error: str | None, action: str | None, tries: int
) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 10**6

    tried, ended_with = run(tmp_path, "c1", error, action)

    assert tried == tries
    # The error leaves the task as itself, for a rule, a callback or a listener to go by.
    path = f"{ExportTimeoutError.__module__}.{ExportTimeoutError.__qualname__}"
    assert set(ended_with) == {path}
    assert sandbox.amplitude.exports_spent == 1


@pytest.mark.usefixtures("forgetful_airflow", "sandbox")
@pytest.mark.parametrize(
    ("error", "action"),
    [(None, None), *([("CohortNotFoundError", _NOW)] if len(RULES) > 1 else [])],
)
def test_what_no_retry_cures_is_not_retried_whatever_a_policy_says(
    tmp_path: Path, error: str | None, action: str | None
) -> None:
    """Airflow asks no policy about its own ``AirflowFailException``; ours is its cause."""
    assert not CohortNotFoundError.retryable

    tried, ended_with = run(tmp_path, "c9", error, action)

    assert tried == 1
    assert [path.rpartition(".")[2] for path in ended_with] == ["AirflowFailException"]
