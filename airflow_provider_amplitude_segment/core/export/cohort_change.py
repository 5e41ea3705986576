"""What changed between two looks at Amplitude's list of cohorts: what a watcher remembers, and what makes an event.

The list costs no export. ``lastComputed`` moves when Amplitude computes a cohort: for a chart, for a sync of its own,
on a person's request, and probably for an export
(https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Get all cohorts").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.export.cohort import USERS
from airflow_provider_amplitude_segment.core.http.response_body import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_amplitude_segment.core.export.cohort import Cohort

COMPUTED, SIZE, NAME, ARCHIVED = "computed_at", "size", "name", "archived"
"""What may change, as an event's ``changed`` names it."""

_NAME_MARK_BYTES = 8
_FIELDS_STORED = 5
_LONGEST_GAP_SECONDS = 3600.0
_HIGHEST_POWER = 20


@dataclass(frozen=True, slots=True)
class SeenCohort:
    """What a watcher remembers of a cohort.

    Attributes:
        computed: epoch seconds; ``None`` where Amplitude never said when.
        size: as last listed; ``None`` where Amplitude never said it.
        name_mark: a hash of the name, so that the state of a watcher has a bounded size.
        archived: as last listed.
        announced: ``computed`` of the list that last made an event; ``None`` before the first one.
    """

    computed: float | None
    size: int | None
    name_mark: str
    archived: bool
    announced: float | None = None


@dataclass(frozen=True, slots=True)
class CohortChange:
    """One change of one cohort.

    Attributes:
        cohort: as listed now.
        changed: what changed, in the order of ``computed_at``, ``size``, ``name``, ``archived``.
        seen: what the watcher remembers once the event is made.
    """

    cohort: Cohort
    changed: tuple[str, ...]
    seen: SeenCohort

    @property
    def payload(self) -> dict[str, Any]:
        """The event's payload: JSON values, without a secret and without a user ID."""
        computed_at = self.cohort.computed_at
        return {
            "cohort_id": self.cohort.cohort_id,
            NAME: self.cohort.name,
            SIZE: self.cohort.size,
            COMPUTED: None if computed_at is None else computed_at.isoformat(),
            ARCHIVED: self.cohort.archived,
            "changed": list(self.changed),
        }


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watcher watches.

    Attributes:
        cohort_ids: the cohorts; ``None`` for all listed cohorts of users.
        quiet_seconds: a cohort that is computed again within so many seconds after the computation that last made an
            event makes none, unless its name or ``archived`` changed. Otherwise the export of a sync that an event
            starts could make the next event, and so on.
    """

    cohort_ids: frozenset[str] | None = None
    quiet_seconds: float = 0.0

    def has(self, cohort: Cohort) -> bool:
        """Return whether a cohort is watched."""
        return cohort.group_type == USERS if self.cohort_ids is None else cohort.cohort_id in self.cohort_ids


@dataclass(frozen=True, slots=True)
class ListComparison:
    """One look at the list, compared with what was seen before.

    Attributes:
        seen: what to remember before the events are made: all cohorts seen so far, changed ones as they were before.
        changes: the changes, in the order of the list.
    """

    seen: dict[str, SeenCohort]
    changes: tuple[CohortChange, ...]


def compare_list(seen: Mapping[str, SeenCohort], cohorts: Iterable[Cohort], watched: Watched) -> ListComparison:
    """Compare a list of cohorts with what was seen before.

    The first look at a cohort is no change. A cohort that the list no longer shows is still remembered. An entry that
    was computed before what was seen is an old copy, and is left out. ``null`` in ``size`` or ``lastComputed`` is no
    change, because Amplitude lists it where it does not know the value.

    Args:
        seen: By cohort ID.
        cohorts: As listed.
        watched: Which of them count.

    >>> from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    >>> first = compare_list({}, [Cohort("26umsb5", "Power Users", "1", 312, 100.0)], Watched())
    >>> first.changes
    ()
    >>> (change,) = compare_list(first.seen, [Cohort("26umsb5", "Power Users", "1", 315, 160.0)], Watched()).changes
    >>> change.changed
    ('computed_at', 'size')
    >>> change.payload["computed_at"]
    '1970-01-01T00:02:40+00:00'
    """
    remembered, changes = dict(seen), []
    for cohort in cohorts:
        if not watched.has(cohort):
            continue
        before = seen.get(cohort.cohort_id)
        if before is None:
            remembered[cohort.cohort_id] = _see(cohort, None)
            continue
        after = _see(cohort, before)
        changed = _changed(before, after)
        if not changed or _is_old(before, cohort):
            continue
        if _is_quiet(before, after, changed, watched.quiet_seconds):
            remembered[cohort.cohort_id] = after
        else:
            announced = before.announced if after.computed is None else after.computed
            changes.append(CohortChange(cohort, changed, replace(after, announced=announced)))
    return ListComparison(remembered, tuple(changes))


def _see(cohort: Cohort, before: SeenCohort | None) -> SeenCohort:
    mark = blake2s(cohort.name.encode("utf-8", "replace"), digest_size=_NAME_MARK_BYTES).hexdigest()
    if before is None:
        return SeenCohort(cohort.last_computed, cohort.size, mark, cohort.archived)
    computed = before.computed if cohort.last_computed is None else cohort.last_computed
    size = before.size if cohort.size is None else cohort.size
    return SeenCohort(computed, size, mark, cohort.archived, before.announced)


def _changed(before: SeenCohort, after: SeenCohort) -> tuple[str, ...]:
    differs = {
        COMPUTED: before.computed != after.computed,
        SIZE: before.size != after.size,
        NAME: before.name_mark != after.name_mark,
        ARCHIVED: before.archived != after.archived,
    }
    return tuple(name for name, is_other in differs.items() if is_other)


def _is_old(before: SeenCohort, cohort: Cohort) -> bool:
    listed = cohort.last_computed
    return before.computed is not None and listed is not None and listed < before.computed


def _is_quiet(before: SeenCohort, after: SeenCohort, changed: tuple[str, ...], quiet_seconds: float) -> bool:
    if before.announced is None or after.computed is None or not {COMPUTED, SIZE}.issuperset(changed):
        return False
    return after.computed - before.announced < quiet_seconds


def poll_gap_seconds(poll_interval: float, failures: int) -> float:
    """Return the seconds until the list is polled again: doubled with each failure, up to an hour.

    Args:
        poll_interval: Seconds between polls; a shorter one than a second counts as a second.
        failures: Polls that failed since the last one that did not.

    >>> [poll_gap_seconds(300, failures) for failures in (0, 1, 2, 3, 4, 5, 10_000)]
    [300, 600, 1200, 2400, 3600.0, 3600.0, 3600.0]
    >>> poll_gap_seconds(7200, 3)
    7200
    """
    interval = max(poll_interval, 1)
    factor: int = 2 ** min(failures, _HIGHEST_POWER)
    return min(interval * factor, max(interval, _LONGEST_GAP_SECONDS))


def seen_to_json(seen: Mapping[str, SeenCohort]) -> dict[str, list[Any]]:
    """Return what was seen as JSON, about 60 bytes a cohort.

    >>> seen_to_json({"26umsb5": SeenCohort(100.0, 312, "0a", False)})
    {'26umsb5': [100.0, 312, '0a', False, None]}
    """
    return {
        cohort_id: [each.computed, each.size, each.name_mark, each.archived, each.announced]
        for cohort_id, each in seen.items()
    }


def seen_from_json(value: object) -> dict[str, SeenCohort]:
    """Return what :func:`seen_to_json` wrote; leave out what it cannot have written.

    >>> seen = {"26umsb5": SeenCohort(100.0, 312, "0a", False, 90.0)}
    >>> seen_from_json(seen_to_json(seen)) == seen
    True
    >>> seen_from_json({"26umsb5": "312"}), seen_from_json(None)
    ({}, {})
    """
    entries = value.items() if isinstance(value, dict) else ()
    read = ((cohort_id, _read_seen(entry)) for cohort_id, entry in entries)
    return {cohort_id: each for cohort_id, each in read if each is not None}


def _read_seen(entry: object) -> SeenCohort | None:
    if not isinstance(entry, list) or len(entry) != _FIELDS_STORED or not isinstance(entry[2], str):
        return None
    size = number_of(entry[1])
    return SeenCohort(
        computed=number_of(entry[0]),
        size=None if size is None else int(size),
        name_mark=entry[2],
        archived=entry[3] is True,
        announced=number_of(entry[4]),
    )
