"""Compare what a Segment source believes with a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort
    from airflow_provider_amplitude_segment.sandbox.segment import SandboxSegment


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts of a comparison; ``missing`` and ``surplus`` are the differences."""

    cohort_id: str
    trait: str
    members: int
    """Distinct user IDs in the cohort."""
    believed: int
    """Users for whom the trait is ``true`` in the source."""
    missing: int
    """Members for whom it is not."""
    surplus: int
    """Users for whom it is, and who are not members."""

    @property
    def equal(self) -> bool:
        """Whether the source believes exactly the cohort."""
        return not self.missing and not self.surplus


def compare(cohort: SandboxCohort, segment: SandboxSegment, *, write_key: str, trait: str | None) -> Comparison:
    """Compare the source of ``write_key`` with the cohort's current members."""
    # Amplitude's destination page for Segment: the trait "appears as <cohort_name> (<cohort_id>)".
    trait = f"{cohort.name} ({cohort.cohort_id})" if trait is None else trait
    members = {user_id for user_id in list(cohort.user_ids) if user_id}
    believed = segment.believes(write_key, trait)
    return Comparison(
        cohort_id=cohort.cohort_id,
        trait=trait,
        members=len(members),
        believed=len(believed),
        missing=len(members - believed),
        surplus=len(believed - members),
    )
