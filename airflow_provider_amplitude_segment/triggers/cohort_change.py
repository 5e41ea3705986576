"""Make an asset event of each change of a cohort in Amplitude's list, for Airflow's ``AssetWatcher``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_amplitude_segment.core.export.cohort_change import Watched, compare_list
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.triggers.cohort_list import CohortListPoll
from airflow_provider_amplitude_segment.triggers.watcher_settings import (
    read_cohort_ids,
    read_poll_interval,
    read_quiet_seconds,
)
from airflow_provider_amplitude_segment.triggers.watcher_state import WatcherState

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2.11 has no asset watchers
    BaseEventTrigger = BaseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Hashable
    from datetime import timedelta

    from airflow_provider_amplitude_segment.triggers.cohort_list import SharedList
    from airflow_provider_amplitude_segment.triggers.cohort_list_producer import CohortListProducer

_HAS_WATCHERS = BaseEventTrigger is not BaseTrigger


class AmplitudeCohortChangeTrigger(BaseEventTrigger):
    """Fire once for each change of a watched cohort: computed again, another size, another name, archived or not.

    For ``AssetWatcher`` on Airflow 3. Each poll reads the list of cohorts by one request, which costs no export. On
    Airflow 3.3 and later, all watchers of a connection with one ``poll_interval`` share one poll, and Airflow keeps
    what each has seen: a restart of the triggerer loses no change, and repeats an event only if it ends the triggerer
    in the second or two between the event and the storing of the state. On 3.0 to 3.2 each watcher polls by itself, and
    a restart begins anew, so a change while no triggerer runs makes no event.

    The first look at a cohort makes no event. While Amplitude is down or refuses the keys, the watcher logs it once and
    polls at growing intervals, of an hour at most; it never ends. It warns once of a cohort in ``cohort_ids`` that
    Amplitude does not list, and of one computed ahead of this machine's clock, whose time it ignores.

    The event's payload has ``cohort_id``, ``name``, ``size``, ``computed_at`` (ISO 8601, UTC), ``archived`` and
    ``changed``, a list of those four that changed. A DAG reads it from
    ``triggering_asset_events[asset][i].extra["payload"]``.

    :param cohort_ids: the cohorts to watch; ``None`` for all listed cohorts of users
    :param amplitude_conn_id: the connection's ID
    :param poll_interval: seconds between polls, or a timedelta; from a second to a day
    :param quiet_seconds: seconds after a cohort's last event, or after the first look at it, in which a computation
        makes no event; or a timedelta; a week at most. Set it where the DAG requests an export of the cohort: an export
        may count as a computation, and would start the next run. Another size without a computation, another name and
        archiving make an event all the same
    """

    def __init__(
        self,
        cohort_ids: Collection[str] | None = None,
        amplitude_conn_id: str = AmplitudeHook.default_conn_name,
        poll_interval: float | timedelta = 300,
        quiet_seconds: float | timedelta = 0,
    ) -> None:
        super().__init__()
        self.cohort_ids = cohort_ids
        self.amplitude_conn_id = amplitude_conn_id
        self.poll_interval = poll_interval
        self.quiet_seconds = quiet_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments from which a triggerer makes this trigger.

        Airflow calls it where it reads the DAG file.

        :raises SettingError: Airflow 2.11 has no asset watchers, or a parameter is wrong
        """
        self._check()
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "cohort_ids": read_cohort_ids(self.cohort_ids),
            "amplitude_conn_id": self.amplitude_conn_id,
            "poll_interval": read_poll_interval(self.poll_interval),
            "quiet_seconds": read_quiet_seconds(self.quiet_seconds),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll by itself, and yield an event for each change. Airflow 3.0 to 3.2 call it.

        :raises SettingError: Airflow 2.11 has no asset watchers, or a parameter is wrong
        """
        self._check()
        state = self._state()
        async for shared in self._poll().lists():
            async for event in self._events(shared, state):
                yield event
            for save in shared.savers.values():
                await save()

    def shared_stream_key(self) -> Hashable | None:
        """Return what the poll depends on: watchers with an equal key share one. Airflow calls it from 3.3 on."""
        return (type(self).__qualname__, self.amplitude_conn_id, read_poll_interval(self.poll_interval))

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> CohortListProducer:
        """Return the one poll of several watchers.

        :param kwargs: the arguments of one of the watchers
        """
        from airflow_provider_amplitude_segment.triggers.cohort_list_producer import CohortListProducer  # noqa: PLC0415

        return CohortListProducer(cls(**kwargs)._poll())  # noqa: SLF001 - its own

    async def filter_shared_stream(self, shared_stream: AsyncIterator[SharedList]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each change of a watched cohort in the lists of the shared poll.

        :param shared_stream: the lists
        """
        state = self._state()
        async for shared in shared_stream:
            async for event in self._events(shared, state):
                yield event

    def _check(self) -> None:
        if not _HAS_WATCHERS:
            problem = "this Airflow has no asset watchers"
            raise SettingError(type(self).__name__, problem, "Airflow 3.0 or later, or give the DAG a schedule by time")

    def _poll(self) -> CohortListPoll:
        return CohortListPoll(self.amplitude_conn_id, read_poll_interval(self.poll_interval))

    def _state(self) -> WatcherState:
        stores = getattr(self, "asset_state_store", None)
        return WatcherState(stores, self.amplitude_conn_id, read_cohort_ids(self.cohort_ids))

    def _watched(self) -> Watched:
        cohort_ids = read_cohort_ids(self.cohort_ids)
        return Watched(None if cohort_ids is None else frozenset(cohort_ids), read_quiet_seconds(self.quiet_seconds))

    async def _events(self, shared: SharedList, state: WatcherState) -> AsyncIterator[TriggerEvent]:
        """Yield the events of one list. A change counts as seen once Airflow has taken its event."""
        if not await state.load():
            return
        comparison = compare_list(state.seen, shared.cohorts, self._watched(), shared.read_at)
        state.warnings.warn(comparison)
        # A dictionary of this list's own, because Airflow saves it after later lists may have been seen.
        seen = state.seen = comparison.seen
        shared.savers[id(state)] = partial(state.save, seen)
        for change in comparison.changes:
            yield TriggerEvent(change.payload)
            seen[change.cohort.cohort_id] = change.seen
