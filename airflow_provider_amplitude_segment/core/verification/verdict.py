"""Decide how one user of the sample compares with the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_amplitude_segment.core.segment_api.profile import (
    ProfileAbsent,
    ProfileUnreadable,
    TraitAbsent,
    TraitFound,
)

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer

Verdict = Literal["matched", "different", "absent", "suppressed", "shares_profile", "unreadable"]

NO_PROFILE = "no profile"
"""What Segment has where it has nothing; see ``found_in``."""

MISMATCHES: frozenset[Verdict] = frozenset({"different", "absent"})


def verdict(value: bool, answer: ProfileAnswer) -> Verdict | None:
    """Return how a user's value in the ledger compares with Segment's response; ``None`` where it says nothing.

    A former member without the trait, or without a profile, is matched: no audience of members has that user, which is
    what the ledger's ``false`` promises. Another value than ``true`` and ``false`` is another sender's, so it differs.

    >>> verdict(True, TraitFound(True)), verdict(True, TraitFound(False)), verdict(True, TraitFound("true"))
    ('matched', 'different', 'different')
    >>> verdict(True, TraitAbsent()), verdict(True, ProfileAbsent())
    ('absent', 'absent')
    >>> verdict(False, TraitFound(False)), verdict(False, TraitAbsent()), verdict(False, ProfileAbsent())
    ('matched', 'matched', 'matched')
    >>> from airflow_provider_amplitude_segment.core.http.retry import RetryLater
    >>> verdict(False, TraitFound(True)), verdict(False, ProfileUnreadable(500)), verdict(False, RetryLater(503))
    ('different', 'unreadable', None)
    """
    match answer:
        case TraitFound(value=found):
            # By identity, because 1 equals True in Python and is another value in JSON.
            return "matched" if found is value else "different"
        case TraitAbsent() | ProfileAbsent():
            return "absent" if value else "matched"
        case ProfileUnreadable():
            return "unreadable"
        case _:
            return None


def found_in(answer: ProfileAnswer) -> str:
    """Return what Segment has, for the file for people; another sender's value is not quoted.

    >>> found_in(TraitFound(True)), found_in(TraitFound("gold")), found_in(TraitAbsent()), found_in(ProfileAbsent())
    ('true', 'another value', 'no trait', 'no profile')
    """
    match answer:
        case TraitFound(value=bool(found)):
            return str(found).lower()
        case TraitFound():
            return "another value"
        case TraitAbsent():
            return "no trait"
        case _:
            return NO_PROFILE
