"""The trigger waits for the time that it was given, and passes nothing on but that."""

import asyncio
import importlib

from airflow_provider_amplitude_segment.triggers.settle import SegmentSettleTrigger


async def events(trigger: SegmentSettleTrigger) -> list[object]:
    return [event.payload async for event in trigger.run()]


def test_it_fires_once() -> None:
    assert asyncio.run(events(SegmentSettleTrigger(seconds=0.0))) == [{"status": "settled"}]


def test_a_triggerer_makes_it_again_from_what_it_serializes() -> None:
    path, arguments = SegmentSettleTrigger(seconds=42.5).serialize()
    module, _, name = path.rpartition(".")

    again = getattr(importlib.import_module(module), name)(**arguments)

    assert arguments == {"seconds": 42.5}
    assert again.serialize() == (path, arguments)
