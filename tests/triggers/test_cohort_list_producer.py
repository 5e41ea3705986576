"""Watchers of one connection share one poll, in Airflow 3.3's own manager of shared polls."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_provider_amplitude_segment.core.export.cohort import Cohort
from airflow_provider_amplitude_segment.triggers.cohort_change import AmplitudeCohortChangeTrigger
from airflow_provider_amplitude_segment.triggers.cohort_list import CohortListPoll

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

A, B = Cohort("a", "Fans", "1", 10, 1000.0), Cohort("b", "Lapsed", "1", 20, 1000.0)


class Store:
    """Airflow's store of one asset."""

    def __init__(self) -> None:
        self.value: Any = None

    async def aget(self, _key: str) -> Any:
        return self.value

    async def aset(self, _key: str, value: Any) -> None:
        self.value = value


class Stores:
    def __init__(self, store: Store) -> None:
        self._by_name = {"asset": store}
        self._by_uri: dict[str, Store] = {}


class Triggerer:
    """Runs watchers as Airflow's triggerer does; the test says which events its database has taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.listed: list[Cohort] = [A, B]
        self.polls = 0
        self.events: list[tuple[int, str, int | None]] = []
        self._turn = asyncio.Event()
        monkeypatch.setattr(
            AmplitudeCohortChangeTrigger,
            "_poll",
            lambda trigger: CohortListPoll(trigger.amplitude_conn_id, 300, self._read, self._sleep),
        )

    async def _read(self, _conn_id: str) -> tuple[Cohort, ...]:
        self.polls += 1
        return tuple(self.listed)

    async def _sleep(self, _seconds: float) -> None:
        self._turn.clear()
        await self._turn.wait()

    async def poll(self) -> None:
        """Let one poll interval pass."""
        await settle()
        self._turn.set()
        await settle()

    @asynccontextmanager
    async def running(self, *triggers: AmplitudeCohortChangeTrigger) -> AsyncIterator[SharedStreamManager]:
        manager = SharedStreamManager()
        tasks = [asyncio.create_task(self._run(manager, number, trigger)) for number, trigger in enumerate(triggers)]
        await settle()
        try:
            yield manager
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await manager.stop_all()

    async def _run(self, manager: SharedStreamManager, number: int, trigger: AmplitudeCohortChangeTrigger) -> None:
        key = trigger.shared_stream_key()
        assert key is not None
        stream = manager.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                seq = manager.bind_pending_event(trigger_id=number, key=key)
                self.events.append((number, event.payload["cohort_id"], seq))
        finally:
            await manager.unsubscribe(number, key)

    def store_events(self, manager: SharedStreamManager) -> None:
        manager.confirm_persisted([seq for _, _, seq in self.events if seq is not None])

    @property
    def made(self) -> list[tuple[int, str]]:
        return [(number, cohort_id) for number, cohort_id, _ in self.events]


async def settle() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


def watcher(cohort_id: str, store: Store) -> AmplitudeCohortChangeTrigger:
    trigger = AmplitudeCohortChangeTrigger([cohort_id])
    trigger.asset_state_store = Stores(store)
    return trigger


def test_forty_watchers_poll_once_and_each_makes_the_events_of_its_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        triggerer = Triggerer(monkeypatch)
        cohorts = triggerer.listed = [replace(A, cohort_id=str(number)) for number in range(40)]
        async with triggerer.running(*(watcher(cohort.cohort_id, Store()) for cohort in cohorts)):
            await triggerer.poll()
            triggerer.listed = [replace(cohort, size=1) if int(cohort.cohort_id) < 5 else cohort for cohort in cohorts]
            await triggerer.poll()
            await triggerer.poll()

        assert triggerer.polls == 3
        assert sorted(triggerer.made) == [(number, str(number)) for number in range(5)]

    asyncio.run(play())


@pytest.mark.parametrize(("is_stored", "made_again"), [(True, []), (False, [(0, "a")])])
def test_an_event_that_airflow_did_not_store_is_made_again_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, *, is_stored: bool, made_again: list[tuple[int, str]]
) -> None:
    async def play() -> None:
        triggerer, stores = Triggerer(monkeypatch), (Store(), Store())
        async with triggerer.running(watcher("a", stores[0]), watcher("b", stores[1])) as manager:
            await triggerer.poll()
            triggerer.listed = [replace(A, size=1), B]
            await triggerer.poll()
            assert triggerer.made == [(0, "a")]
            if is_stored:
                triggerer.store_events(manager)
                await settle()
        triggerer.events.clear()

        async with triggerer.running(watcher("a", stores[0]), watcher("b", stores[1])):
            await triggerer.poll()
            assert triggerer.made == made_again

    asyncio.run(play())


def test_a_change_while_no_triggerer_runs_makes_its_event_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        triggerer, store = Triggerer(monkeypatch), Store()
        async with triggerer.running(watcher("a", store)):
            await triggerer.poll()
        triggerer.listed = [replace(A, size=1), B]

        async with triggerer.running(watcher("a", store)):
            await triggerer.poll()

        assert triggerer.made == [(0, "a")]

    asyncio.run(play())


def test_watchers_of_other_connections_or_intervals_share_no_poll() -> None:
    keys = {
        AmplitudeCohortChangeTrigger(["a"]).shared_stream_key(),
        AmplitudeCohortChangeTrigger(["b"], quiet_seconds=60).shared_stream_key(),
        AmplitudeCohortChangeTrigger(["a"], "amplitude_eu").shared_stream_key(),
        AmplitudeCohortChangeTrigger(["a"], poll_interval=60).shared_stream_key(),
    }

    assert len(keys) == 3
