"""The parameters of a watcher, checked where Airflow reads the DAG file, because a wrong one would end the watcher."""

from __future__ import annotations

import math
from datetime import timedelta

from airflow_provider_amplitude_segment.exceptions import SettingError

_LONGEST_POLL_INTERVAL = 86_400
_LONGEST_QUIET = 604_800
_MOST_SHOWN_CHARACTERS = 60


def read_cohort_ids(value: object) -> list[str] | None:
    """Return the IDs sorted and without repeats, so that Airflow makes one trigger of equal ones; ``None`` for all.

    >>> read_cohort_ids(("7khm89cz", " 26umsb5 ", "7khm89cz")), read_cohort_ids([1234567]), read_cohort_ids(None)
    (['26umsb5', '7khm89cz'], ['1234567'], None)
    """
    takes = "a list of cohort IDs, or None for all"
    if value is None:
        return None
    if isinstance(value, str):
        raise SettingError("cohort_ids", "it is one text", takes)
    if not isinstance(value, list | tuple | set | frozenset):
        raise SettingError("cohort_ids", f"got {_shown(value)}", takes)
    ids = {_cohort_id(each, takes) for each in value}
    if not ids:
        raise SettingError("cohort_ids", "it is empty", takes)
    return sorted(ids)


def read_poll_interval(value: object) -> float:
    """Return the seconds between polls, from a second to a day.

    >>> read_poll_interval(300), read_poll_interval(timedelta(minutes=5)), read_poll_interval("300")
    (300.0, 300.0, 300.0)
    """
    return _seconds("poll_interval", value, 1, _LONGEST_POLL_INTERVAL)


def read_quiet_seconds(value: object) -> float:
    """Return the quiet seconds, from none to a week.

    >>> read_quiet_seconds(0), read_quiet_seconds(timedelta(minutes=30))
    (0.0, 1800.0)
    """
    return _seconds("quiet_seconds", value, 0, _LONGEST_QUIET)


def _cohort_id(value: object, takes: str) -> str:
    is_readable = isinstance(value, str | int) and not isinstance(value, bool)
    text = str(value).strip() if is_readable else ""
    if not text or not text.isprintable():
        raise SettingError("cohort_ids", f"{_shown(value)} is no cohort ID", takes)
    return text


def _seconds(setting: str, value: object, least: float, most: float) -> float:
    plain = value.total_seconds() if isinstance(value, timedelta) else value
    try:
        seconds = float(plain) if isinstance(plain, str | int | float) and not isinstance(plain, bool) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if not least <= seconds <= most:
        raise SettingError(setting, f"got {_shown(value)}", f"seconds from {least:,} to {most:,}, or a timedelta")
    return seconds


def _shown(value: object) -> str:
    text = repr(value)
    shown = text if len(text) <= _MOST_SHOWN_CHARACTERS else f"{text[: _MOST_SHOWN_CHARACTERS - 3]}..."
    return f"{shown} ({type(value).__name__})"
