"""The cohorts of the command-line sandbox."""

from __future__ import annotations

from airflow_provider_amplitude_segment.sandbox.churn import HAZARDS, new_user_ids
from airflow_provider_amplitude_segment.sandbox.cohorts import SandboxCohort


def sample_cohorts(members: int = 100_000, *, seed: int = 0) -> list[SandboxCohort]:
    """Make cohorts with realistic names, the same ones for the same arguments.

    Args:
        members: size of the largest cohort. The others have 12.4, 1.85, 0.24 and 1 percent of it.
        seed: of the user IDs.
    """
    everyone = [*HAZARDS, *new_user_ids(max(members - len(HAZARDS), 0), seed=f"{seed}/users")][:members]
    at_risk, trial, beta, archived = (max(1, members * share // 10_000) for share in (1240, 185, 24, 100))
    return [
        SandboxCohort(
            "7khm89cz",
            "Lifecycle: active this month",
            everyone,
            anonymous=members // 20,
            duplicates=members // 100,
            ready_after_polls=2,
            delivery="storage",
            gzip=True,
        ),
        SandboxCohort("26umsb5", "Lifecycle: at risk of leaving", everyone[:at_risk], anonymous=310),
        SandboxCohort("9apg8e8f", "Lifecycle: trial ends this week", everyone[-trial:]),
        SandboxCohort("k3v0q1xd", "Beta testers", everyone[:beta], last_computed=None, listed_size=None),
        SandboxCohort("1a2bc3de", "Black Friday 2024 buyers", everyone[:archived], archived=True),
        SandboxCohort("4wq8nt2r", "Enterprise accounts", ["acme", "globex", "initech"], group_type="Account"),
    ]
