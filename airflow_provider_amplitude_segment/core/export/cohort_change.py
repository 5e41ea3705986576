"""What changed between two looks at Amplitude's list of cohorts: what a watcher remembers, and what makes an event.

The list costs no export. ``lastComputed`` moves when Amplitude computes a cohort: for a chart, for a sync of its own,
on a person's request, and probably for an export
(https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Get all cohorts").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.clock import CLOCK_TOLERANCE_SECONDS
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
        computed: epoch seconds; ``None`` where Amplitude never said when, or only a time ahead of the clock.
        size: as last listed; ``None`` where Amplitude never said it.
        name_mark: a hash of the name, so that the state of a watcher has a bounded size.
        archived: as last listed.
        quiet_from: when the last event was made, else when the first look was; epoch seconds of the watcher's clock.
            ``None`` before the first event of a cohort that was not computed at the first look.
    """

    computed: float | None
    size: int | None
    name_mark: str
    archived: bool
    quiet_from: float | None = None


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
        quiet_seconds: a computation within so many seconds after the cohort's last event, or after the first look at
            it, makes no event, unless the name or ``archived`` changed too. Otherwise the export of a sync that an
            event starts could make the next event, and so on. A size that changed without a computation is not quiet.
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
        missing: the IDs of watched cohorts that the list does not show; none where all listed ones are watched.
        ahead: the IDs of cohorts whose ``lastComputed`` was left out, because it is ahead of the clock.
    """

    seen: dict[str, SeenCohort]
    changes: tuple[CohortChange, ...]
    missing: frozenset[str]
    ahead: frozenset[str]


def compare_list(
    seen: Mapping[str, SeenCohort], cohorts: Iterable[Cohort], watched: Watched, now: float
) -> ListComparison:
    """Compare a list of cohorts with what was seen before.

    The first look at a cohort is no change. A cohort that the list no longer shows is still remembered. ``null`` in
    ``size`` or ``lastComputed`` is no change, because Amplitude lists it where it does not know the value. A
    ``lastComputed`` ahead of the clock counts as ``null``, because nothing would be later. One that is before what was
    seen comes from an old copy of the list: it is left out, and the size with it.

    Args:
        seen: By cohort ID.
        cohorts: As listed.
        watched: Which of them count.
        now: The watcher's clock; epoch seconds.

    >>> from airflow_provider_amplitude_segment.core.export.cohort import Cohort
    >>> first = compare_list({}, [Cohort("26umsb5", "Power Users", "1", 312, 100.0)], Watched(), 120.0)
    >>> first.changes
    ()
    >>> (change,) = compare_list(
    ...     first.seen, [Cohort("26umsb5", "Power Users", "1", 315, 160.0)], Watched(), 180.0
    ... ).changes
    >>> change.changed
    ('computed_at', 'size')
    >>> change.payload["computed_at"]
    '1970-01-01T00:02:40+00:00'
    """
    remembered, changes, ahead = dict(seen), [], set()
    listed = {cohort.cohort_id: cohort for cohort in cohorts if watched.has(cohort)}
    for cohort_id, entry in listed.items():
        cohort = entry
        if _is_ahead(entry.last_computed, now):
            ahead.add(cohort_id)
            cohort = replace(entry, last_computed=None)
        before = seen.get(cohort_id)
        if before is None:
            remembered[cohort_id] = _see_first(cohort, now)
            continue
        before = _without_times_ahead(before, now)
        after = _see_again(cohort, before)
        changed = _changed(before, after)
        if not changed:
            continue
        if _is_quiet(before, after, changed, watched.quiet_seconds):
            remembered[cohort_id] = after
        else:
            changes.append(CohortChange(cohort, changed, replace(after, quiet_from=now)))
    missing = (watched.cohort_ids or frozenset()).difference(listed)
    return ListComparison(remembered, tuple(changes), missing, frozenset(ahead))


def _is_ahead(moment: float | None, now: float) -> bool:
    return moment is not None and moment - now > CLOCK_TOLERANCE_SECONDS


def _without_times_ahead(seen: SeenCohort, now: float) -> SeenCohort:
    """Leave out what a clock that was ahead has left, because nothing would be later for a long time."""
    return replace(
        seen,
        computed=None if _is_ahead(seen.computed, now) else seen.computed,
        quiet_from=None if _is_ahead(seen.quiet_from, now) else seen.quiet_from,
    )


def _see_first(cohort: Cohort, now: float) -> SeenCohort:
    computed = cohort.last_computed
    return SeenCohort(computed, cohort.size, _mark(cohort), cohort.archived, None if computed is None else now)


def _see_again(cohort: Cohort, before: SeenCohort) -> SeenCohort:
    computed, size = cohort.last_computed, cohort.size
    if computed is not None and before.computed is not None and computed < before.computed:
        computed = size = None
    return SeenCohort(
        before.computed if computed is None else computed,
        before.size if size is None else size,
        _mark(cohort),
        cohort.archived,
        before.quiet_from,
    )


def _mark(cohort: Cohort) -> str:
    return blake2s(cohort.name.encode("utf-8", "replace"), digest_size=_NAME_MARK_BYTES).hexdigest()


def _changed(before: SeenCohort, after: SeenCohort) -> tuple[str, ...]:
    differs = {
        COMPUTED: before.computed != after.computed,
        SIZE: before.size != after.size,
        NAME: before.name_mark != after.name_mark,
        ARCHIVED: before.archived != after.archived,
    }
    return tuple(name for name, is_other in differs.items() if is_other)


def _is_quiet(before: SeenCohort, after: SeenCohort, changed: tuple[str, ...], quiet_seconds: float) -> bool:
    """Return whether a change is a computation that the export of the last event's run may have made.

    The time of the computation counts, and not that of the look, which may be hours later. A computation before the
    last event that came into the list after it is quiet too: the run's export was later.
    """
    if quiet_seconds <= 0 or COMPUTED not in changed or not {COMPUTED, SIZE}.issuperset(changed):
        return False
    if before.quiet_from is None or after.computed is None:
        return False
    return after.computed - before.quiet_from < quiet_seconds


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
        cohort_id: [each.computed, each.size, each.name_mark, each.archived, each.quiet_from]
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
        quiet_from=number_of(entry[4]),
    )
