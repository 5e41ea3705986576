"""Turn the verify operator's rendered parameters into the settings of one verification."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.core.verification.settings import VerifySettings
from airflow_provider_amplitude_segment.task.parameters import (
    read_cohort_id,
    read_flag,
    read_number,
    read_whole_number,
)
from airflow_provider_amplitude_segment.task.settings import read_app_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.clock import Clock

_MOST_SAMPLED = 100_000
"""33 minutes at the rate of the requests."""

_MOST_SECONDS = 24 * 3600


class VerifyParameters(Protocol):
    """The rendered parameters of the verify operator."""

    cohort_id: str
    segment_conn_id: str | Sequence[str]
    sample_size: int | str
    max_mismatch_ratio: float | str
    settle_seconds: float | str
    recheck_seconds: float | str
    heal: bool | str
    integrations: Mapping[str, Any] | str | None
    state_path: str | None
    app_id: str | int | None
    clock: Clock | None


def read_verify_settings(operator: VerifyParameters) -> VerifySettings:
    """Read and check all parameters, without any request.

    :raises SettingError: names the first parameter that is wrong, what it got and what it takes.
    """
    return VerifySettings(
        cohort_id=read_cohort_id(operator.cohort_id),
        sample_size=read_whole_number("sample_size", operator.sample_size, least=1, most=_MOST_SAMPLED),
        max_mismatch_ratio=read_number("max_mismatch_ratio", operator.max_mismatch_ratio, most=1, or_equal=True),
        settle_seconds=read_number("settle_seconds", operator.settle_seconds, most=_MOST_SECONDS, or_equal=True),
        recheck_seconds=read_number("recheck_seconds", operator.recheck_seconds, most=_MOST_SECONDS, or_equal=True),
        heal=read_flag("heal", operator.heal),
        app_id=read_app_id(operator.app_id),
    )
