"""Hold the settings of one verification after they were read and checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifySettings:
    """The verify operator's parameters of the same names, which the operator documents."""

    cohort_id: str
    sample_size: int = 1000
    max_mismatch_ratio: float = 0.0
    settle_seconds: float = 60.0
    recheck_seconds: float = 600.0
    heal: bool = False
    app_id: str | None = None
