"""From the retire operator's rendered parameters to the settings of one retirement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.settings import MissingStatePolicy, RejectedPolicy, SyncSettings
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.transfers.parameters import (
    is_none,
    read_choice,
    read_cohort_id,
    read_flag,
    read_object,
)
from airflow_provider_amplitude_segment.transfers.sync_settings import read_keep_snapshots, read_pace, read_requests

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.transfers.retire_trait import AmplitudeCohortTraitRetireOperator


def read_retire_settings(operator: AmplitudeCohortTraitRetireOperator) -> SyncSettings:
    """Read and check every parameter but ``app_id``; nothing is asked of anybody.

    :raises SettingError: names the first one that is wrong, what it got and what it takes.
    """
    return SyncSettings(
        cohort_id=read_cohort_id(operator.cohort_id),
        on_rejected=read_choice("on_rejected", operator.on_rejected, RejectedPolicy),
        on_missing_state=read_choice("on_missing_state", operator.on_missing_state, MissingStatePolicy),
        dry_run=read_flag("dry_run", operator.dry_run),
        events_per_second=read_pace(operator.events_per_second),
        max_concurrent_requests=read_requests(operator.max_concurrent_requests),
        segment_context=read_object("segment_context", operator.segment_context),
        integrations=read_object("integrations", operator.integrations),
        keep_snapshots=read_keep_snapshots(),
    )


def read_app_id(value: object) -> str | None:
    """Read the Amplitude project's number, which may be none.

    >>> read_app_id(187520), read_app_id(" 187520 "), read_app_id("None")
    ('187520', '187520', None)
    """
    if is_none(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SettingError("app_id", f"got {value!r}", "the Amplitude project's number, or None")
    return str(value).strip()
