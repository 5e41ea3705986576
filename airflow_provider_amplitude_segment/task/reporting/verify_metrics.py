"""Send a verification's metrics through Airflow's ``Stats``; see ``metrics``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.task.reporting.metrics import PREFIX

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifyReport

GAUGES = {
    "verify_sampled": "sampled",
    "verify_mismatches": "mismatches",
    "verify_mismatch_ratio": "ratio",
    "verify_suppressed": "suppressed_members",
}
"""The gauges, each with its field of the report."""


def count_verification(report: VerifyReport, *, has_failed: bool) -> None:
    """Send a try's metrics to Airflow.

    Args:
        report: as the try left it.
        has_failed: whether an error ended it.
    """
    from airflow.providers.common.compat.sdk import Stats  # noqa: PLC0415 - not while a DAG is parsed

    cohort = {"cohort_id": report.cohort_id}
    Stats.incr(f"{PREFIX}verifications_{'failed' if has_failed else 'succeeded'}", tags=cohort)
    for destination in report.destinations:
        tags = {**cohort, "segment_conn_id": destination.segment_conn_id}
        for name, field in GAUGES.items():
            # Without a sample there are no mismatches to count.
            if (value := getattr(destination, field)) is not None and (
                destination.sampled is not None or field == "suppressed_members"
            ):
                Stats.gauge(f"{PREFIX}{name}", value, tags=tags)
        if destination.healed:
            Stats.incr(f"{PREFIX}healed", destination.healed, tags=tags)
