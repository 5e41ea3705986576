"""Read the operator's parameters of events for journeys."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.task.parameters import is_none, read_flag, read_pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.settings import EventsPolicy

_AT_LEAST_ONCE = "at-least-once"
_MOST_NAME_BYTES = 1_000
_TAKES_NAMES = (
    "two different names, of the event of an entry and of an exit: a pair, or a dictionary with the keys entered and "
    f"exited; each has at most {_MOST_NAME_BYTES:,} bytes"
)


class EventParameters(Protocol):
    """The rendered parameters of events."""

    events: bool | str
    event_names: Sequence[str] | Mapping[str, str] | str
    events_on_first_sync: bool | str


def read_events(operator: EventParameters) -> dict[str, Any]:
    """Read and check the parameters; return the fields of ``SyncSettings``.

    :raises SettingError: names the first parameter that is wrong, what it got and what it takes.
    """
    entered, exited = read_event_names(operator.event_names)
    return {
        "events": read_policy(operator.events),
        "entered_event": entered,
        "exited_event": exited,
        "events_on_first_sync": read_flag("events_on_first_sync", operator.events_on_first_sync),
    }


def read_policy(value: object) -> EventsPolicy:
    """Read ``events``.

    >>> [read_policy(value) for value in (False, "True", " At-Least-Once", "")]
    ['off', 'at-most-once', 'at-least-once', 'off']
    """
    if is_none(value):
        return "off"
    if isinstance(value, str) and value.strip().lower() == _AT_LEAST_ONCE:
        return "at-least-once"
    try:
        return "at-most-once" if read_flag("events", value) else "off"
    except SettingError:
        raise SettingError("events", f"got {value!r}", f"True, False or {_AT_LEAST_ONCE!r}") from None


def read_event_names(value: object) -> tuple[str, str]:
    """Read ``event_names``.

    >>> read_event_names({"exited": "Left", "entered": "Joined"}), read_event_names("Joined, Left")
    (('Joined', 'Left'), ('Joined', 'Left'))
    """
    pair = read_pair("event_names", value, ("entered", "exited"), takes=_TAKES_NAMES)
    if pair[0] == pair[1] or any(len(json.dumps(name)) > _MOST_NAME_BYTES for name in pair):
        raise SettingError("event_names", f"got {value!r}", _TAKES_NAMES)
    return pair
