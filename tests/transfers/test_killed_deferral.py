"""A deferred task that is marked failed or cleared releases its claim, where Airflow informs the trigger (3.3)."""

import asyncio
import importlib
import json
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred
from fakes.task_instance import FakeTaskInstance, Sync

from airflow_provider_amplitude_segment.exceptions import ClaimHeldError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, WRITE_KEY_EMEA, Sandbox

BOTH = ["segment_default", "segment_emea"]


def deferred_trigger(sync: Sync, **parameters: Any) -> Any:
    """The trigger of a deferred sync, made again from what Airflow keeps of it."""
    with pytest.raises(TaskDeferred) as deferred:
        sync(deferrable=True, **parameters)
    path, arguments = json.loads(json.dumps(deferred.value.trigger.serialize()))
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


def test_another_run_is_let_in_at_once_after_a_deferred_task_was_failed(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 1
    trigger = deferred_trigger(sync, segment_conn_id=BOTH)
    other = FakeTaskInstance(run_id="other")
    with pytest.raises(ClaimHeldError):
        sync(other, segment_conn_id=BOTH)

    asyncio.run(trigger.on_kill())

    sync(other, segment_conn_id=BOTH)
    for key in (WRITE_KEY_DEFAULT, WRITE_KEY_EMEA):
        assert sandbox.segment.believes(key, "Power Users (c1)") == {"ann", "bob"}


def test_a_kill_that_is_told_late_takes_nothing_from_the_run_that_went_on(sandbox: Sandbox, sync: Sync) -> None:
    sandbox.amplitude.cohorts["c1"].ready_after_polls = 2
    trigger = deferred_trigger(sync)
    with pytest.raises(TaskDeferred):
        # The same run again: cleared, it has claimed anew.
        sync(deferrable=True)

    asyncio.run(trigger.on_kill())

    with pytest.raises(ClaimHeldError):
        sync(FakeTaskInstance(run_id="other"))
    sync(deferrable=True, event={"status": "completed"})
    assert sandbox.segment.believes(WRITE_KEY_DEFAULT, "Power Users (c1)") == {"ann", "bob"}
    assert sandbox.amplitude.exports_spent == 1


def test_a_trigger_of_an_earlier_version_holds_no_claim_to_release(sync: Sync) -> None:
    trigger = deferred_trigger(sync)
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    earlier = {key: value for key, value in arguments.items() if key not in {"state_place", "claims"}}

    asyncio.run(getattr(importlib.import_module(module), name)(**earlier).on_kill())

    with pytest.raises(ClaimHeldError):
        sync(FakeTaskInstance(run_id="other"))
