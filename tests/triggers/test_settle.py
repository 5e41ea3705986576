"""The trigger waits for the time that it was given, and passes nothing on but that."""

import asyncio
import importlib
import time

from airflow_provider_amplitude_segment.triggers.settle import SegmentSettleTrigger


async def events(trigger: SegmentSettleTrigger) -> list[object]:
    return [event.payload async for event in trigger.run()]


def test_it_fires_once() -> None:
    assert asyncio.run(events(SegmentSettleTrigger(seconds=0.0))) == [{"status": "settled"}]


def test_a_triggerer_makes_it_again_from_what_it_serializes() -> None:
    path, arguments = SegmentSettleTrigger(seconds=42.5, until=1_795_392_000.5).serialize()
    module, _, name = path.rpartition(".")

    again = getattr(importlib.import_module(module), name)(**arguments)

    assert arguments == {"seconds": 42.5, "until": 1_795_392_000.5}
    assert again.serialize() == (path, arguments)


def test_a_triggerer_that_takes_over_goes_on_with_the_wait() -> None:
    """It does not begin the hour again."""
    _, arguments = SegmentSettleTrigger(seconds=3600, until=time.time()).serialize()

    assert asyncio.run(events(SegmentSettleTrigger(**arguments))) == [{"status": "settled"}]


def test_a_worker_whose_clock_is_a_day_ahead_does_not_prolong_the_wait() -> None:
    assert asyncio.run(events(SegmentSettleTrigger(seconds=0.01, until=time.time() + 86_400))) == [
        {"status": "settled"}
    ]


def test_a_trigger_of_an_earlier_version_waits_for_its_seconds() -> None:
    assert asyncio.run(events(SegmentSettleTrigger(seconds=0.01))) == [{"status": "settled"}]
