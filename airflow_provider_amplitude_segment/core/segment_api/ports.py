"""Name the two clients that proof and verification use: of the Public API and of the Profile API.

Every method of both raises ``SegmentApiRefusedError`` for 401 and 403, ``SegmentApiUnavailableError`` where the API is
down, slow or rate limited after the client's retries, ``SegmentApiUnreachableError`` where no retry can reach it, and
``SegmentApiAnswerError`` for a response that is none of
Segment's, unless it says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.core.segment_api.identify_counts import IdentifyCounts
    from airflow_provider_amplitude_segment.core.segment_api.profile import ProfileAnswer
    from airflow_provider_amplitude_segment.core.segment_api.workspace import (
        ConnectedDestination,
        IdentifyRules,
        ListedSource,
        Workspace,
    )


class PublicApi(Protocol):
    """A client of Segment's Public API, with one workspace's token."""

    def workspace(self) -> Workspace:
        """Return the workspace that the token opens."""

    def sources(self, host: str) -> Iterator[ListedSource]:
        """Yield the sources of the workspace, page by page, so that a caller can stop at the one it looks for.

        ``host`` is that of the write key that the caller looks for: it is part of each ``key_fingerprint``.
        """

    def identify_rules(self, source_id: str) -> IdentifyRules:
        """Return what a source does with traits that its tracking plan does not have."""

    def connected_destinations(self, source_id: str) -> Sequence[ConnectedDestination]:
        """Return what a source feeds."""

    def identify_counts(self, source_id: str, since: float, until: float) -> IdentifyCounts:
        """Return what Segment counts of a source's identifies in the minutes of a span, in epoch seconds.

        It asks the delivery overview, and where that is not available the event volume.
        """

    def suppressed_users(self) -> Iterator[Sequence[str]]:
        """Yield the user IDs that Segment suppresses, page by page."""


class ProfileApi(Protocol):
    """A client of the Profile API of one space. Safe to use from several threads."""

    def trait(self, user_id: str, trait: str) -> ProfileAnswer:
        """Return what Segment has of one user's trait; one attempt.

        Transient faults are returned as ``RetryLater``, because the caller shares one rate between its threads.
        """

    def user_ids(self, user_id: str) -> Sequence[str] | ProfileAnswer:
        """Return all user IDs of the profile that has this one; else why there are none."""
