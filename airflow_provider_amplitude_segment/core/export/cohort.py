"""A cohort as Amplitude lists it, and whether an export of it is worth spending."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.export.response_errors import (
    error_reason,
    is_success,
    raise_for_status,
)
from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object, read_object
from airflow_provider_amplitude_segment.exceptions import (
    AmplitudeAnswerError,
    AmplitudeUnavailableError,
    CohortArchivedError,
    CohortNotFoundError,
    CohortTooLargeError,
    GroupCohortError,
    XComValueError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

USERS = "User"
"""What a cohort of users counts; any other name is a group type."""

MAX_EXPORT_MEMBERS = 2_000_000
"""Users one export holds: https://amplitude.com/docs/apis/analytics/behavioral-cohorts, "Considerations"."""

_SIZE_IS_FRESH_SECONDS = 24 * 3600
_LISTING = "listing the cohorts"
# Amplitude's sample and its live answers are in seconds; some third parties show milliseconds. Seconds reach
# this number in the year 5138.
_MILLISECONDS_FROM = 100_000_000_000


@dataclass(frozen=True, slots=True)
class Cohort:
    """One entry of Amplitude's list.

    Attributes:
        cohort_id: Amplitude's ID of 7 or 8 characters.
        name: as last edited; may be empty and hold any character.
        app_id: the project's number; empty where Amplitude does not say it.
        size: Amplitude users when last computed, anonymous ones included; ``None`` when never computed. Never
            the number of user IDs.
        last_computed: epoch seconds; ``None`` when never. An export computes anew, so this does not tell
            whether the membership changed.
        archived: whether it was put away in Amplitude.
        group_type: ``User``, or what is counted instead.
        owners: as Amplitude names them, mostly e-mail addresses; empty where it names none.
    """

    cohort_id: str
    name: str
    app_id: str
    size: int | None = None
    last_computed: float | None = None
    archived: bool = False
    group_type: str = USERS
    owners: tuple[str, ...] = ()

    def serialize(self) -> NoReturn:
        """Refuse to be returned from a task: Airflow calls this when it writes an XCom.

        https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/serializers.html

        Raises:
            XComValueError: Always; the task that would read it fails otherwise, without a word of why.
        """
        raise XComValueError(
            "Cohort",
            "AmplitudeHook().map_cohorts(), which expand_kwargs of an operator takes, or plain values such as "
            "[cohort.cohort_id for cohort in cohorts]",
        )


def read_cohorts(status: int, body: bytes, *, is_end_announced: bool = True) -> tuple[Cohort, ...]:
    """Read the answer of ``GET /api/3/cohorts``: all discoverable cohorts, on one page.

    https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Get all cohorts". Fields that live
    answers have as ``null`` (``size``, ``lastComputed``) and fields nobody documented are let be; an entry
    without an ID cannot be exported and is left out.

    Args:
        status: HTTP status code.
        body: Response body.
        is_end_announced: Whether anything said where the body ends.

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        AmplitudeUnavailableError: 408, 429 and 5xx, or the list was cut off.
        AmplitudeAnswerError: anything that is not such a list.

    >>> body = b'{"cohorts": [{"id": "26umsb5", "name": "Power Users", "appId": 1, "size": null}]}'
    >>> [(cohort.cohort_id, cohort.name, cohort.size) for cohort in read_cohorts(200, body)]
    [('26umsb5', 'Power Users', None)]
    """
    raise_for_status(_LISTING, status, error_reason(body))
    if not is_success(status):
        raise AmplitudeAnswerError(_LISTING, status, error_reason(body))
    if is_cut_object(body, is_end_announced=is_end_announced):
        raise AmplitudeUnavailableError(_LISTING, status, CUT_OFF)
    answer = read_object(body)
    entries = answer.get("cohorts") if answer is not None else None
    if not isinstance(entries, list):
        raise AmplitudeAnswerError(_LISTING, status, "the body is not a JSON object with a list of cohorts")
    cohorts = (_read_cohort(entry) for entry in entries if isinstance(entry, dict))
    return tuple(cohort for cohort in cohorts if cohort.cohort_id)


def _read_cohort(entry: dict[str, Any]) -> Cohort:
    size = _number(entry.get("size"))
    computed = _number(entry.get("lastComputed"))
    if computed is not None and computed >= _MILLISECONDS_FROM:
        computed /= 1000
    definition = entry.get("definition")
    group = definition.get("countGroup") if isinstance(definition, dict) else None
    group_type = group.get("name") if isinstance(group, dict) else None
    return Cohort(
        cohort_id=_text(entry.get("id")),
        name=_text(entry.get("name")),
        app_id=_text(entry.get("appId")),
        size=None if size is None else int(size),
        last_computed=computed,
        archived=entry.get("archived") is True,
        group_type=_text(group_type) or USERS,
        owners=_owners(entry.get("owners")),
    )


def _owners(value: object) -> tuple[str, ...]:
    names = [_text(owner) for owner in value] if isinstance(value, list) else []
    return tuple(name for name in names if name)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    # JSON can spell half a surrogate pair, which no UTF-8 can carry on to Segment.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def find_cohort(cohorts: Iterable[Cohort], cohort_id: str) -> Cohort:
    """Return the cohort of an ID, as Amplitude spells it.

    Raises:
        CohortNotFoundError: The list does not show it. Whether an unlisted ID can be exported is not
            documented, and trying would spend an export.

    >>> find_cohort([Cohort("26umsb5", "Power Users", "1")], "26umsb5").name
    'Power Users'
    """
    listed = tuple(cohorts)
    for cohort in listed:
        if cohort.cohort_id == cohort_id:
            return cohort
    raise CohortNotFoundError(cohort_id, len(listed))


def check_exportable(cohort: Cohort, *, now: float) -> str | None:
    """Refuse a cohort whose export is known beforehand to be of no use.

    Args:
        cohort: As listed.
        now: Seconds since 1970-01-01 UTC.

    Returns:
        A warning for the log, or ``None``: a size over the limit that is not fresh may be wrong either way.

    Raises:
        CohortArchivedError: It was put away.
        GroupCohortError: It counts groups, which have no user IDs.
        CohortTooLargeError: Its size, under a day old, is over what one export holds.

    >>> check_exportable(Cohort("26umsb5", "Power Users", "1", size=312), now=0) is None
    True
    """
    if cohort.archived:
        raise CohortArchivedError(cohort.cohort_id)
    if cohort.group_type != USERS:
        raise GroupCohortError(cohort.cohort_id, cohort.group_type)
    if cohort.size is None or cohort.size <= MAX_EXPORT_MEMBERS:
        return None
    if cohort.last_computed is not None and now - cohort.last_computed < _SIZE_IS_FRESH_SECONDS:
        raise CohortTooLargeError(cohort.cohort_id, cohort.size, MAX_EXPORT_MEMBERS)
    return (
        f"Amplitude lists {cohort.size:,} members for cohort {cohort.cohort_id}, more than the "
        f"{MAX_EXPORT_MEMBERS:,} that one export holds, but did not compute that within the last day. "
        "The export is tried; one of that many rows will be refused."
    )
