"""A cohort as Amplitude lists it: read, found, selected by name, and refused where an export would be useless."""

from __future__ import annotations

import ast
import fnmatch
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.core.export.response_errors import error_reason, is_success, raise_for_status
from airflow_provider_amplitude_segment.core.http.response_body import CUT_OFF, is_cut_object, number_of, read_object
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
"""The group type of a cohort of users; any other name is one of groups."""

MAX_EXPORT_MEMBERS = 2_000_000
"""Users one export holds: https://amplitude.com/docs/apis/analytics/behavioral-cohorts, "Considerations"."""

_SIZE_IS_FRESH_SECONDS = 24 * 3600
_LISTING = "listing the cohorts"
# Amplitude's sample and its live responses are in seconds; some third parties show milliseconds. Seconds reach
# this number in the year 5138.
_MILLISECONDS_FROM = 100_000_000_000

# Airflow's database keeps 250 characters of a map index.
_MOST_LABEL_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Cohort:
    """One entry of Amplitude's list.

    Attributes:
        cohort_id: Amplitude's ID of 7 or 8 characters.
        name: as last edited; may be empty and hold any character.
        app_id: the project's number; empty where Amplitude does not list it.
        size: Amplitude users when last computed, anonymous ones included; ``None`` when never computed. It is not
            the number of user IDs.
        last_computed: epoch seconds; ``None`` when never. An export computes the cohort again, so this does not
            show whether the membership changed.
        archived: whether it is archived in Amplitude.
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

    @property
    def computed_at(self) -> datetime | None:
        """When Amplitude last computed it, in UTC; ``None`` when never, or where no calendar has the number.

        >>> Cohort("26umsb5", "Power Users", "187520", last_computed=1679440233).computed_at.isoformat()
        '2023-03-21T23:10:33+00:00'
        >>> Cohort("26umsb5", "Power Users", "187520").computed_at is None
        True
        """
        if self.last_computed is None:
            return None
        try:
            return datetime.fromtimestamp(self.last_computed, tz=UTC)
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def label(self) -> str:
        """The name with the ID, as Airflow can keep it for a mapped task.

        >>> [Cohort("26umsb5", name, "187520").label for name in ("Lifecycle: at risk of leaving", "")]
        ['Lifecycle: at risk of leaving (26umsb5)', '26umsb5']
        >>> Cohort("1234567", "", "187520").label
        'Cohort 1234567'
        """
        name = self.name if len(self.name) <= _MOST_LABEL_CHARACTERS else f"{self.name[:_MOST_LABEL_CHARACTERS]}…"
        label = f"{name} ({self.cohort_id})" if name.strip() else self.cohort_id
        try:
            ast.literal_eval(label)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return label
        # With render_template_as_native_obj a template makes a number of it, which fails the task on Airflow 3.
        return f"Cohort {label}"

    def serialize(self) -> NoReturn:
        """Refuse to be returned from a task: Airflow calls this when it writes an XCom.

        https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/serializers.html

        Raises:
            XComValueError: Always, because the task that reads it would fail without a reason.
        """
        raise XComValueError(
            "Cohort",
            "AmplitudeHook().map_cohorts(), which expand_kwargs of an operator takes, or plain values such as "
            "[cohort.cohort_id for cohort in cohorts]",
        )


def read_cohorts(status: int, body: bytes, *, is_end_announced: bool = True) -> tuple[Cohort, ...]:
    """Read the response to ``GET /api/3/cohorts``: all discoverable cohorts, on one page.

    https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Get all cohorts". Live responses have
    ``null`` in some fields (``size``, ``lastComputed``) and undocumented fields, which are ignored. An entry
    without an ID cannot be exported and is left out.

    Args:
        status: HTTP status code.
        body: Response body.
        is_end_announced: Whether the response says where the body ends.

    Raises:
        AmplitudeCredentialsError: 401 and 403.
        AmplitudeUnavailableError: 408, 429 and 5xx, or the list was cut off.
        AmplitudeAnswerError: The response is not such a list.

    >>> body = b'{"cohorts": [{"id": "26umsb5", "name": "Power Users", "appId": 1, "size": null}]}'
    >>> [(cohort.cohort_id, cohort.name, cohort.size) for cohort in read_cohorts(200, body)]
    [('26umsb5', 'Power Users', None)]
    """
    raise_for_status(_LISTING, status, error_reason(body))
    if not is_success(status):
        raise AmplitudeAnswerError(_LISTING, status, error_reason(body))
    if is_cut_object(body, is_end_announced=is_end_announced):
        raise AmplitudeUnavailableError(_LISTING, status, CUT_OFF)
    value = read_object(body)
    entries = value.get("cohorts") if value is not None else None
    if not isinstance(entries, list):
        raise AmplitudeAnswerError(_LISTING, status, "the body is not a JSON object with a list of cohorts")
    cohorts = (_read_cohort(entry) for entry in entries if isinstance(entry, dict))
    return tuple(cohort for cohort in cohorts if cohort.cohort_id)


def _read_cohort(entry: dict[str, Any]) -> Cohort:
    size = number_of(entry.get("size"))
    computed = number_of(entry.get("lastComputed"))
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


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    # JSON can spell half a surrogate pair, which UTF-8 cannot carry to Segment.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def find_cohort(cohorts: Iterable[Cohort], cohort_id: str) -> Cohort:
    """Return the cohort of an ID, as Amplitude spells it.

    Raises:
        CohortNotFoundError: The list does not show it. Amplitude does not document whether an unlisted ID can be
            exported, and a try would spend an export.

    >>> find_cohort([Cohort("26umsb5", "Power Users", "1")], "26umsb5").name
    'Power Users'
    """
    listed = tuple(cohorts)
    for cohort in listed:
        if cohort.cohort_id == cohort_id:
            return cohort
    raise CohortNotFoundError(cohort_id, len(listed))


def select_cohorts(
    cohorts: Iterable[Cohort], name: str | None = None, *, owner: str | None = None, include_archived: bool = False
) -> list[Cohort]:
    """Return the cohorts of users that fit the patterns, in the given order.

    Args:
        cohorts: As listed.
        name: A pattern of the whole name; ``None`` for all.
        owner: A pattern of one of the owners; ``None`` and ``*`` also keep cohorts without an owner.
        include_archived: Whether to keep archived cohorts.
    """
    return [
        cohort
        for cohort in cohorts
        if cohort.group_type == USERS
        and (include_archived or not cohort.archived)
        and (name is None or fits(cohort.name, name))
        and (owner is None or not owner.strip("*") or any(fits(address, owner) for address in cohort.owners))
    ]


def fits(text: str, pattern: str) -> bool:
    """Return whether a text fits a pattern of ``*`` and ``?``, in any case; unlike in a shell, ``[`` is a bracket.

    >>> [fits("[Amplitude] VIP", pattern) for pattern in ("[amplitude]*", "*vip", "vip", "[A]*")]
    [True, True, False, False]
    """
    # translate() makes an expression that does not try each star against each other one.
    expression = fnmatch.translate(pattern.replace("[", "[[]"))
    return re.match(expression, text, re.IGNORECASE) is not None


def check_exportable(cohort: Cohort, *, now: float, limit: int | None = MAX_EXPORT_MEMBERS) -> str | None:
    """Refuse a cohort whose export is known to be useless before it is requested.

    Args:
        cohort: As listed.
        now: Seconds since 1970-01-01 UTC.
        limit: Users that one export holds; ``None`` for cohort files, which have no limit.

    Returns:
        A warning for the log where the size is over the limit and a day old or older; else ``None``.

    Raises:
        CohortArchivedError: It is archived.
        GroupCohortError: It counts groups, which have no user IDs.
        CohortTooLargeError: Its size is less than a day old and over what one export holds.

    >>> check_exportable(Cohort("26umsb5", "Power Users", "1", size=312), now=0) is None
    True
    """
    if cohort.archived:
        raise CohortArchivedError(cohort.cohort_id)
    if cohort.group_type != USERS:
        raise GroupCohortError(cohort.cohort_id, cohort.group_type)
    if limit is None or cohort.size is None or cohort.size <= limit:
        return None
    if cohort.last_computed is not None and now - cohort.last_computed < _SIZE_IS_FRESH_SECONDS:
        raise CohortTooLargeError(cohort.cohort_id, cohort.size, limit)
    return (
        f"Amplitude lists {cohort.size:,} members for cohort {cohort.cohort_id}, more than the "
        f"{limit:,} that one export holds, but did not compute this size within the last day. "
        "The export is requested. A file of that many rows is refused."
    )
