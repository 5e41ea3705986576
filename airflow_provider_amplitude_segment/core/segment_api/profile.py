"""What Segment's Profile API says of one user's trait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom


@dataclass(frozen=True, slots=True, repr=False)
class TraitFound(NotForXCom):
    """The profile has the trait.

    Attributes:
        value: its value, as JSON; the last one that any source of the space sent.
    """

    value: Any


@dataclass(frozen=True, slots=True)
class TraitAbsent(NotForXCom):
    """The profile exists and lacks the trait."""


@dataclass(frozen=True, slots=True)
class ProfileAbsent(NotForXCom):
    """Segment has no profile with this user ID."""


@dataclass(frozen=True, slots=True)
class ProfileUnreadable(NotForXCom):
    """Segment cannot respond for this user ID, although it responds for others.

    Attributes:
        status: HTTP status code; ``None`` where the ID is empty or not Unicode, so that no request can name it.
    """

    status: int | None


ProfileAnswer = TraitFound | TraitAbsent | ProfileAbsent | ProfileUnreadable | RetryLater
"""What one request says; ``RetryLater`` says nothing of the user."""
