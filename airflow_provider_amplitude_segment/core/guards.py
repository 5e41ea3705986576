"""Guards: a sync that looks wrong is refused before anything is sent, and the ledger stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_amplitude_segment.exceptions import EmptyCohortError, ExitRatioError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.diff import Diff
    from airflow_provider_amplitude_segment.core.membership import Membership

EmptyCohortPolicy = Literal["fail", "sync", "skip"]

MIN_LEAVING = 100
"""So many members at least must be leaving before their share is looked at."""


def is_suddenly_empty(membership: Membership, diff: Diff) -> bool:
    """Tell whether the export has no member where members were known."""
    return membership.members == 0 and diff.known > 0


def check_guards(
    diff: Diff,
    membership: Membership,
    *,
    destination: str,
    on_empty_cohort: EmptyCohortPolicy,
    max_exit_ratio: float | None,
    run_configuration: Mapping[str, Any],
) -> None:
    """Refuse a sync that looks wrong. Only users told ``true`` under the current key count.

    A cohort that may be empty (``on_empty_cohort`` other than ``fail``) has no ratio to exceed.

    Raises:
        EmptyCohortError: no member where members were known.
        ExitRatioError: more leave than ``max_exit_ratio`` allows, and at least 100.
    """
    if is_suddenly_empty(membership, diff):
        if on_empty_cohort == "fail":
            raise EmptyCohortError(destination, diff.known, membership.anonymous, run_configuration)
        return
    if max_exit_ratio is None or diff.leaving < MIN_LEAVING:
        return
    if diff.leaving > max_exit_ratio * diff.told:
        raise ExitRatioError(destination, diff.leaving, diff.told, max_exit_ratio, run_configuration)
