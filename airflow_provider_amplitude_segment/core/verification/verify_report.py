"""Report a verification in counts and names, never with a user ID."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_amplitude_segment.exceptions import XComValueError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class VerifiedDestination:
    """One destination's part.

    ``sampled`` is the sum of ``matched``, ``different``, ``absent``, ``suppressed``, ``shares_profile``, ``unreadable``
    and ``unanswered``.

    Attributes:
        segment_conn_id: the connection.
        destination: its name in the ledger.
        trait: the trait key of the last sync.
        generation: of the commit that was verified; ``None`` before the ledger was read.
        committed_at: when that commit's delivery began, ISO-8601.
        members: users with ``true`` under the trait in the ledger, not in doubt.
        suppressed_members: of these, users that Segment suppresses; ``None`` if unknown.
        in_doubt: users in doubt in the ledger, who are not compared; ``None`` before the ledger was read.
        sampled: users of the sample; ``None`` if no user was asked for, because the connection has no space.
        matched: Segment has the ledger's value.
        different: Segment has another value.
        absent: Segment has no value, and the ledger has ``true``.
        suppressed: Segment suppresses the user, so no value is expected.
        shares_profile: another user ID of the same profile has the other value in the ledger.
        unreadable: Segment cannot respond for this user ID.
        unanswered: users without a final response when the verification ended early.
        mismatches: ``different`` and ``absent``.
        ratio: ``state_mismatches`` of ``state_compared``; ``None`` if there are none.
        upper_bound: the share of all users in the ledger that differ is at most this, at 95 %; ``None`` if unknown.
            Users who could not be read count as differing; suppressed ones, and those that share a profile, are left
            out.
        state_compared: users compared of the part that was drawn from the whole state: half of it members.
        state_mismatches: mismatches of that part.
        member_compared: members compared of that part.
        member_mismatches: mismatches of these.
        member_upper_bound: as ``upper_bound``, of the members.
        plan_compared: users compared of the part that was drawn from the last plan.
        plan_mismatches: mismatches of that part.
        plan_upper_bound: as ``upper_bound``, of the users of the last plan.
        source_id: Segment's ID of the source; ``None`` if the Public API does not show which one has the write key.
        acknowledged: identifies that Segment acknowledged in the last sync; ``None`` if the ledger does not have it.
        counted_since: beginning of the minutes that are counted, ISO-8601; ``None`` if none were.
        counted_until: their end.
        received: identifies that Segment received at the source in these minutes, from all senders.
        failed: by Segment's reason, identifies that it dropped on ingest; ``None`` if unknown.
        filtered: by Segment's reason, identifies that the source dropped; ``None`` if unknown.
        healed: users that were set in doubt, so that the next sync sends them again.
        mismatched_users: location of the file with the mismatched users.
        error: what ended the verification of this destination, for a reader.
    """

    segment_conn_id: str
    destination: str
    trait: str | None = None
    generation: int | None = None
    committed_at: str | None = None
    members: int | None = None
    suppressed_members: int | None = None
    in_doubt: int | None = None
    sampled: int | None = None
    matched: int = 0
    different: int = 0
    absent: int = 0
    suppressed: int = 0
    shares_profile: int = 0
    unreadable: int = 0
    unanswered: int = 0
    mismatches: int = 0
    ratio: float | None = None
    upper_bound: float | None = None
    state_compared: int = 0
    state_mismatches: int = 0
    member_compared: int = 0
    member_mismatches: int = 0
    member_upper_bound: float | None = None
    plan_compared: int = 0
    plan_mismatches: int = 0
    plan_upper_bound: float | None = None
    source_id: str | None = None
    acknowledged: int | None = None
    counted_since: str | None = None
    counted_until: str | None = None
    received: int | None = None
    failed: Mapping[str, int] | None = None
    filtered: Mapping[str, int] | None = None
    healed: int = 0
    mismatched_users: str | None = None
    error: str | None = None

    @property
    def compared(self) -> int:
        """Users of the sample whose value could be compared."""
        return self.matched + self.mismatches

    @property
    def worst_part(self) -> tuple[int, int]:
        """Mismatches, and users compared, of the part that ``max_mismatch_ratio`` judges: the worse one."""
        parts = (self.state_mismatches, self.state_compared), (self.plan_mismatches, self.plan_compared)
        return max(parts, key=lambda part: part[0] / part[1] if part[1] else 0.0)

    @property
    def worst_ratio(self) -> float:
        """The higher ratio of the two parts."""
        mismatches, compared = self.worst_part
        return mismatches / compared if compared else 0.0


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """A verification of one cohort at one or more destinations.

    Attributes:
        cohort_id: Amplitude's cohort ID.
        sample_size: users to draw, as the operator was set.
        max_mismatch_ratio: above it the task fails, as the operator was set.
        destinations: a report for each.
    """

    cohort_id: str
    sample_size: int
    max_mismatch_ratio: float
    destinations: tuple[VerifiedDestination, ...] = field(default=())

    def with_destination(self, report: VerifiedDestination) -> VerifyReport:
        """Return the report with a destination's report added or replaced."""
        kept = [report if d.destination == report.destination else d for d in self.destinations]
        if report not in kept:
            kept.append(report)
        return replace(self, destinations=tuple(kept))

    def serialize(self) -> NoReturn:
        """Refuse to be written to an XCom; Airflow calls this when a task returns the report.

        Raises:
            XComValueError: always, because otherwise the task that reads the XCom fails without a reason.
        """
        raise XComValueError("VerifyReport", "report.as_dict()")

    def as_dict(self) -> dict[str, Any]:
        """Return the report in JSON's types, for an XCom."""
        return {**asdict(self), "destinations": [asdict(report) for report in self.destinations]}
