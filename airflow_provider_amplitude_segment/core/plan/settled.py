"""Find the destinations that have synced a set of cohort files before, so that nothing is new for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.plan.draft import plan_fingerprint
from airflow_provider_amplitude_segment.core.report.report import DestinationReport

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Stream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings


def report_settled(
    stream: Stream, newest: Plan | Commit | None, settings: SyncSettings, trait: str, set_id: str
) -> DestinationReport | None:
    """Return the report of a destination that has nothing new; ``None`` where the set must be compared.

    It has nothing new if its newest entry is a commit of the same set, with the same trait key, routing and user
    properties. After a rollback, an erasure or a healing the set is compared again, and ``full`` always sends it. So is
    a set whose sync had rejected users, because a rejected user is sent again.

    Args:
        stream: the cohort at this destination.
        newest: the newest entry of its ledger.
        settings: of the sync.
        trait: the trait key by the cohort's current name.
        set_id: of the run's set.
    """
    if settings.sync_mode == "full" or not isinstance(newest, Commit) or newest.export_request_id != set_id:
        return None
    trait = newest.trait if settings.on_trait_change == "keep" else trait
    if newest.fingerprint not in {plan_fingerprint(settings, trait, mode) for mode in ("incremental", "full")}:
        return None
    if newest.report.get("rejected"):
        return None
    known = newest.report.get("known")
    return DestinationReport(
        stream.destination.segment_conn_id,
        stream.destination.name,
        "incremental",
        trait,
        unchanged=known or 0,
        generation=newest.generation,
        follows=newest.generation,
        committed=not settings.dry_run,
        known=known,
    )
