"""The texts of the Test button for Segment's Public API and Profile API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.http.retry import RetryLater
from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileUnreadable
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiRefusedError,
    SegmentApiUnavailableError,
    SegmentApiUnreachableError,
)
from airflow_provider_amplitude_segment.hooks.connection.test_result import not_reached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.segment_api.workspace import Space, Workspace
    from airflow_provider_amplitude_segment.exceptions import SegmentApiError
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import Endpoint
    from airflow_provider_amplitude_segment.hooks.connection.test_result import Verdict

NO_SPACE = "Without a Space ID, a sync can be verified by its counts, but not user by user."

_OWNER = "Segment shows write keys only to a token that has the permission Source Admin or the role Workspace Owner."
SOURCES_SLOW = (
    "Its sources came too slowly, so it is not known whether it may see write keys. Test again in some minutes."
)

_NOT_FOUND = 404
_MOST_NAMED = 5


def verdict(endpoint: Endpoint, workspace: Workspace, keys: str, space: str, *, works: bool) -> Verdict:
    """Return which workspace the token opens, and what it may see.

    :param keys: about its write keys, in a sentence.
    :param space: about the space, in a sentence.
    :param works: whether both say that all is well.
    """
    return works, (
        f"{'Works' if works else 'Works in part'}: the token opens the workspace {workspace.name!r} (slug "
        f"{workspace.slug!r}, data region {endpoint.region}, {endpoint.base_url}). {keys} {space}"
    )


def public_api_failed(endpoint: Endpoint, error: SegmentApiError, *, overridden: bool) -> Verdict:
    """Return why the Public API does not name a workspace, and what to change.

    :param overridden: whether the connection has a host of its own.
    """
    if isinstance(error, SegmentApiRefusedError):
        other = "EU" if endpoint.region == "US" else "US"
        clear = ", and clear Host" if overridden else ""
        return False, (
            f"Refused: Segment does not accept this token (HTTP {error.status}, data region {endpoint.region}, "
            f"{endpoint.base_url}). Wrong or expired token? Make a new one in Segment under Settings > Workspace "
            "settings > Access Management > Tokens; a write key is not a token. Wrong region? If the workspace is in "
            f"the region {other}, choose {other} as Data region{clear}."
        )
    if isinstance(error, SegmentApiUnavailableError | SegmentApiUnreachableError):
        if isinstance(error, SegmentApiUnreachableError) or error.status is None:
            return not_reached(endpoint, endpoint.base_url, error.reason, error.advice)
        return False, (
            f"Reached, but not tested: {endpoint.base_url} is busy or out of order (HTTP {error.status}), so the token "
            "is not proved. Test again in some minutes."
        )
    return False, (
        f"Reached, but not Segment's Public API: {endpoint.base_url} returns another response{_status(error)}. Check "
        "Host. If it is empty, the region's host is used."
    )


def public_api_slow(endpoint: Endpoint) -> Verdict:
    """Return that the Public API does not name a workspace in time."""
    return False, (
        f"Reached, but not tested: {endpoint.base_url} responds too slowly, so the token is not proved. Test again in "
        "some minutes; check Host and proxies."
    )


def profile_api_slow(base_url: str) -> str:
    """Return that the Profile API says nothing of the space in time."""
    return (
        f"The Profile API ({base_url}) responds too slowly. So the space is not proved. Test again in some minutes; "
        "check Profile API host and proxies."
    )


def write_keys(sources: int, hidden: int) -> str:
    """Return whether the token may see write keys.

    :param sources: how many sources were read, without those of a kind that has no write key.
    :param hidden: how many of them show no write key, or not all of theirs.

    >>> write_keys(3, 0)
    'It may see write keys, so each sync can check its own.'
    >>> write_keys(3, 1).partition(", and")[0]
    'It may see the write keys of 2 of 3 sources, so a sync can prove one of these'
    """
    if not sources:
        return "It shows no source with a write key, so it is not known whether it may see write keys."
    if hidden == sources:
        return f"It may NOT see write keys, so no sync can check its own. {_OWNER}"
    if hidden:
        return (
            f"It may see the write keys of {sources - hidden:,} of {sources:,} sources, so a sync can prove one of "
            f"these, and no sync can call another key wrong. {_OWNER}"
        )
    return "It may see write keys, so each sync can check its own."


def sources_failed(error: SegmentApiError) -> str:
    """Return that the token opens the workspace and does not list its sources."""
    if isinstance(error, SegmentApiRefusedError):
        return f"It may NOT list sources{_status(error)}, so no sync can check its write key. {_OWNER}"
    return f"Its sources cannot be read now{_status(error)}. Test again in some minutes."


def space_responded(base_url: str, space_id: str, answer: ProfileAnswer) -> tuple[bool, str]:
    """Return whether the space is proved by what the Profile API said of a user that it cannot have."""
    if isinstance(answer, RetryLater):
        said = (
            f"is busy or out of order (HTTP {answer.status})" if answer.status else f"did not respond: {answer.reason}"
        )
        advice = f"{answer.advice} " if answer.advice else ""
        return False, (
            f"The Profile API ({base_url}) {said}. So the space is not proved. {advice}Test again in some minutes."
        )
    if isinstance(answer, ProfileUnreadable):
        return False, (
            f"The Profile API ({base_url}) does not accept the request (HTTP {answer.status}). Check Space ID and "
            "Profile API host."
        )
    return True, f"The Profile API ({base_url}) opens the space {space_id!r}."


def space_failed(base_url: str, space_id: str, error: SegmentApiError, spaces: Sequence[Space]) -> str:
    """Return why the space is not proved, and what to change.

    :param spaces: of the workspace; empty where they are not known.
    """
    place = "in Segment under Unify > Unify settings > API access"
    if isinstance(error, SegmentApiRefusedError):
        return (
            f"The Profile API ({base_url}) does not accept Profile API token for the space {space_id!r}"
            f"{_status(error)}. Make a token of this space {place}. A Public API token is another one, and a token of "
            "one region does not work in the other."
        )
    if isinstance(error, SegmentApiAnswerError) and error.status == _NOT_FOUND:
        return (
            f"The Profile API ({base_url}) does not know the space {space_id!r}{_status(error)}. Copy its Space ID "
            f"{place}, and check Data region and Profile API host.{_name(spaces)}"
        )
    if isinstance(error, SegmentApiUnreachableError):
        return f"The Profile API ({base_url}) cannot be reached: {error.reason}. {error.advice}"
    return f"{base_url} returns another response than the Profile API{_status(error)}. Check Profile API host."


def _name(spaces: Sequence[Space]) -> str:
    """Return which spaces there are, as the Public API lists them, whose IDs may have another form."""
    if not spaces:
        return ""
    named = ", ".join(f"{space.name!r} ({space.space_id})" for space in spaces[:_MOST_NAMED])
    return f" The workspace has: {named}{', …' if len(spaces) > _MOST_NAMED else ''}."


def _status(error: SegmentApiError) -> str:
    status = getattr(error, "status", None)
    return "" if status is None else f" (HTTP {status})"
