"""Turn an operator's rendered parameters into the settings of one sync."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.core.export.cohort import Cohort
from airflow_provider_amplitude_segment.core.plan.trait import trait_key
from airflow_provider_amplitude_segment.core.settings import (
    EmptyCohortPolicy,
    GuardPolicy,
    MissingStatePolicy,
    RejectedPolicy,
    SyncMode,
    SyncSettings,
    TraitChangePolicy,
)
from airflow_provider_amplitude_segment.exceptions import SettingError
from airflow_provider_amplitude_segment.task.event_settings import EventParameters, read_events
from airflow_provider_amplitude_segment.task.parameters import (
    is_none,
    read_choice,
    read_cohort_id,
    read_flag,
    read_folder,
    read_names,
    read_number,
    read_object,
    read_whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.clock import Clock

_KEEP_SNAPSHOTS = 5
_MOST_REQUESTS = 32
_MOST_EXPORTS = 1_000_000
_MOST_APPROVERS = 100
# As many as the engine compares within its memory limit; Amplitude's own webhook sync accepts 50
# (https://amplitude.com/docs/data/destination-catalog/cohort-webhooks).
_MOST_USER_PROPERTIES = 20
_OWN_COLUMNS = frozenset({"user_id", "amplitude_id"})
# An export's file is kept for seven days.
_MOST_SECONDS = 7 * 24 * 3600
# Two of the days are left for what comes before the question and after the answer.
_MOST_SECONDS_TO_ANSWER = 5 * 24 * 3600


class DestinationParameters(Protocol):
    """The rendered parameters of both operators: where to deliver a cohort, how fast, and where its ledger is."""

    cohort_id: str
    segment_conn_id: str | Sequence[str]
    on_rejected: str
    on_missing_state: str
    dry_run: bool | str
    events_per_second: float | str | None
    max_concurrent_requests: int | str
    segment_context: Mapping[str, Any] | str | None
    integrations: Mapping[str, Any] | str | None
    state_path: str | None
    clock: Clock | None


class SyncParameters(DestinationParameters, EventParameters, Protocol):
    """The rendered parameters of the sync operator."""

    amplitude_conn_id: str
    sync_mode: str
    trait_name: str
    on_trait_change: str
    max_exit_ratio: float | str | None
    on_empty_cohort: str
    on_guard: str
    approvers: Sequence[str] | str | None
    approval_timeout: float | str
    skip_when_unchanged: bool | str
    min_exports_left: int | str
    cohort_files: str | None
    user_properties: Sequence[str] | str | None
    poll_interval: float | str
    export_timeout: float | str


def read_settings(operator: SyncParameters) -> SyncSettings:
    """Read and check all parameters, without any request.

    :raises SettingError: names the first parameter that is wrong, what it got and what it takes.
    """
    ratio = operator.max_exit_ratio
    read_folder("cohort_files", operator.cohort_files)
    if not isinstance(operator.trait_name, str):
        raise SettingError("trait_name", f"got {operator.trait_name!r}", "a template, as text")
    # A sample cohort shows a wrong template now, because the cohort's name is known only later.
    trait_key(operator.trait_name, Cohort("cohort", "Cohort", "project"))
    return replace(
        read_retire_settings(operator),
        sync_mode=read_choice("sync_mode", operator.sync_mode, SyncMode),
        trait_name=operator.trait_name,
        on_trait_change=read_choice("on_trait_change", operator.on_trait_change, TraitChangePolicy),
        max_exit_ratio=None if is_none(ratio) else read_number("max_exit_ratio", ratio, most=1, or_equal=True),
        on_empty_cohort=read_choice("on_empty_cohort", operator.on_empty_cohort, EmptyCohortPolicy),
        on_guard=read_choice("on_guard", operator.on_guard, GuardPolicy),
        approvers=read_names("approvers", operator.approvers, most=_MOST_APPROVERS),
        approval_timeout=read_number("approval_timeout", operator.approval_timeout, most=_MOST_SECONDS_TO_ANSWER),
        skip_when_unchanged=read_flag("skip_when_unchanged", operator.skip_when_unchanged),
        min_exports_left=read_whole_number("min_exports_left", operator.min_exports_left, least=0, most=_MOST_EXPORTS),
        user_properties=_user_properties(operator.user_properties),
        **read_events(operator),
        poll_interval=read_number("poll_interval", operator.poll_interval, most=_MOST_SECONDS),
        export_timeout=read_number("export_timeout", operator.export_timeout, most=_MOST_SECONDS),
    )


def _user_properties(value: object) -> tuple[str, ...]:
    names = read_names("user_properties", value, most=_MOST_USER_PROPERTIES)
    if own := sorted(_OWN_COLUMNS.intersection(names)):
        takes = "names of user properties; the export's file has columns of its own with these names"
        raise SettingError("user_properties", f"got {', '.join(map(repr, own))}", takes)
    return names


def _keep_snapshots() -> int:
    """Read how many commits a ledger keeps, from Airflow's configuration."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - not while a DAG is parsed

    kept = conf.get("amplitude_segment", "keep_snapshots", fallback="") or _KEEP_SNAPSHOTS
    return read_whole_number("[amplitude_segment] keep_snapshots", kept, least=1, most=1000)


def read_retire_settings(operator: DestinationParameters) -> SyncSettings:
    """Read and check all parameters but ``app_id``, without any request; raises as ``read_settings``."""
    rate = operator.events_per_second
    return SyncSettings(
        cohort_id=read_cohort_id(operator.cohort_id),
        on_rejected=read_choice("on_rejected", operator.on_rejected, RejectedPolicy),
        on_missing_state=read_choice("on_missing_state", operator.on_missing_state, MissingStatePolicy),
        dry_run=read_flag("dry_run", operator.dry_run),
        events_per_second=None if is_none(rate) else read_number("events_per_second", rate, above=1, or_equal=True),
        max_concurrent_requests=read_whole_number(
            "max_concurrent_requests", operator.max_concurrent_requests, least=1, most=_MOST_REQUESTS
        ),
        segment_context=read_object("segment_context", operator.segment_context),
        integrations=read_object("integrations", operator.integrations),
        keep_snapshots=_keep_snapshots(),
    )


def read_app_id(value: object) -> str | None:
    """Read the Amplitude project's number, or none.

    >>> read_app_id(187520), read_app_id(" 187520 "), read_app_id("None")
    ('187520', '187520', None)
    """
    if is_none(value):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SettingError("app_id", f"got {value!r}", "the Amplitude project's number, or None")
    return str(value).strip()
