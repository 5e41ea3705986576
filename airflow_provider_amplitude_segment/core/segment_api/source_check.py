"""Check a write key by the list of a workspace's sources.

Segment responds with 200 to a wrong write key and to the key of a disabled source. Only the list of sources shows both:
``GET /sources`` has ``writeKeys`` and ``enabled`` of each source (https://docs.segmentapis.com/tag/Sources). It leaves
``writeKeys`` empty where the token may not see them, so an empty list is no proof that a key is wrong.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import (
    SegmentApiAnswerError,
    SegmentApiError,
    SegmentApiRefusedError,
    SourceDisabledError,
    WriteKeyError,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.segment_api.access import PublicApiAccess
    from airflow_provider_amplitude_segment.core.segment_api.workspace import IdentifyRules, ListedSource, Workspace

log = logging.getLogger(__name__)

CHECK_SECONDS = 20.0
"""For all requests of a task's check together, because a check must not delay a sync for long."""

_AMPLITUDE = frozenset({"amplitude", "actions-amplitude"})
"""Slugs of Segment's two Amplitude destinations in its catalog."""


@dataclass(frozen=True, slots=True)
class AskedKey(NotForXCom):
    """A write key to check.

    Attributes:
        segment_conn_id: its connection, for messages.
        fingerprint: ``key_fingerprint`` of its host and itself.
        host: of the connection; part of the fingerprint.
        region: the data region that the connection sends to; ``None`` where it does not say it.
    """

    segment_conn_id: str
    fingerprint: str
    host: str
    region: str | None = None


@dataclass(frozen=True, slots=True)
class ProvedSource(NotForXCom):
    """The enabled source that has the write key.

    Attributes:
        workspace: that the source is in.
        source: the source; without its keys where it was kept.
        rules: what it does with unplanned traits; ``None`` where Segment did not say it.
        feeds_amplitude: whether an enabled destination sends its messages to Amplitude.
        is_whole: whether another try would read no more of it.
    """

    workspace: Workspace
    source: ListedSource
    rules: IdentifyRules | None = None
    feeds_amplitude: bool = False
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class UnknownSource(NotForXCom):
    """The write key could be neither proved nor refuted.

    Attributes:
        reason: why, in words that follow "because" or a colon.
        advice: what to do, in a sentence.
        is_lasting: whether it stays so until the token or the workspace changes.
    """

    reason: str
    advice: str
    is_lasting: bool = False


Checked = ProvedSource | UnknownSource | WriteKeyError | SourceDisabledError
"""What the check says of one key; an error is returned instead of raised, because another key may be asked, too."""


@dataclass(frozen=True, slots=True)
class SourceListing:
    """What a workspace's list of sources says of some keys.

    Attributes:
        found: by key fingerprint, the source that has the key.
        listed: sources that were read, without those of a kind that has no write key.
        hidden: those of them that show no key, or not all of theirs.
    """

    found: Mapping[str, ListedSource] = field(default_factory=dict)
    listed: int = 0
    hidden: int = 0


def find_keys(sources: Iterable[ListedSource], wanted: Collection[str]) -> SourceListing:
    """Return which sources have the wanted keys; stops reading at the last one.

    >>> from airflow_provider_amplitude_segment.core.segment_api.workspace import ListedSource
    >>> web, crm = ListedSource("s1", "web", "Web", True, frozenset({"k1"})), ListedSource("s2", "crm", "CRM", True)
    >>> find_keys([crm, web], {"k1"}).found["k1"].slug
    'web'
    >>> find_keys([crm, web, ListedSource("s3", "app", "App", True, hides_keys=True)], {"k3"})
    SourceListing(found={}, listed=2, hidden=1)
    """
    found: dict[str, ListedSource] = {}
    listed = hidden = 0
    for source in sources:
        listed += bool(source.keys) or source.hides_keys
        hidden += source.hides_keys
        found.update(dict.fromkeys(source.keys.intersection(wanted), source))
        if len(found) == len(wanted):
            break
    return SourceListing(found, listed, hidden)


def judge_key(key: AskedKey, access: PublicApiAccess, workspace: Workspace, listing: SourceListing) -> Checked:
    """Return what a workspace's list of sources proves of a write key.

    A source of another data region is an error only where both connections say their region. A key that is not found
    is an error only where the token sees a key of every source that has one.
    """
    source = listing.found.get(key.fingerprint)
    if source is None:
        if not listing.hidden and listing.listed:
            return WriteKeyError(key.segment_conn_id, access.conn_id, workspace.slug)
        return UnknownSource(_unseen(access, workspace, listing), _SHOW_KEYS, is_lasting=True)
    if key.region and access.region and key.region != access.region:
        return WriteKeyError(key.segment_conn_id, access.conn_id, workspace.slug, access.region)
    if not source.enabled:
        return SourceDisabledError(key.segment_conn_id, source.slug, workspace.slug)
    return ProvedSource(workspace, source)


_SHOW_KEYS = "Use a token that a Workspace Owner made and that may see the write keys of all sources."


def _unseen(access: PublicApiAccess, workspace: Workspace, listing: SourceListing) -> str:
    token = f"the token of connection {access.conn_id!r}"
    if not listing.listed:
        return f"{token} sees no source of workspace {workspace.slug!r} that has a write key"
    if listing.hidden == listing.listed:
        return f"{token} may not see the write keys of workspace {workspace.slug!r}"
    return (
        f"no source of workspace {workspace.slug!r} shows this key, and {token} sees no key of {listing.hidden:,} of "
        f"its {listing.listed:,} sources"
    )


def check_keys(access: PublicApiAccess, keys: Sequence[AskedKey], seconds: float = CHECK_SECONDS) -> dict[str, Checked]:
    """Ask one workspace about write keys of one host; return what it says, by fingerprint. Raises nothing.

    It reads the list of sources, once more before it calls a key wrong, and then asks each proved source for its
    tracking plan and its destinations.

    Args:
        access: of the workspace.
        keys: at least one; all of one host.
        seconds: that are left of ``CHECK_SECONDS``.
    """
    access.limit.begin(seconds)
    try:
        workspace = access.api.workspace()
        listing = _list_keys(access, keys)
    except TimeoutError:
        unknown = UnknownSource(
            f"the Public API did not list the sources within {CHECK_SECONDS:.0f} seconds", _CHECK_STATUS
        )
        return {key.fingerprint: unknown for key in keys}
    except SegmentApiError as error:
        return {key.fingerprint: not_asked(error) for key in keys}
    checked: dict[str, Checked] = {}
    for key in keys:
        checked[key.fingerprint] = found = judge_key(key, access, workspace, listing)
        if isinstance(found, ProvedSource):
            checked[key.fingerprint] = _described(found, access)
    return checked


def _list_keys(access: PublicApiAccess, keys: Sequence[AskedKey]) -> SourceListing:
    """Return what the list of sources says of the keys.

    A list that changes between two of its pages can leave a source out, so a key that would be called wrong is looked
    for in a second list.
    """
    wanted = {key.fingerprint for key in keys}
    first = find_keys(access.api.sources(keys[0].host), wanted)
    missing = wanted - first.found.keys()
    if not missing or first.hidden or not first.listed:
        return first
    second = find_keys(access.api.sources(keys[0].host), missing)
    return replace(second, found={**first.found, **second.found})


_CHECK_STATUS = "If it happens again, check Segment's status page, and what else uses the token."


def not_asked(error: SegmentApiError) -> UnknownSource:
    """Return an error of the Public API as the reason why a key is not known.

    >>> not_asked(SegmentApiRefusedError("segment_api", "for the workspace", 401)).advice
    'Check the token, its rights and the region of that connection.'
    """
    if isinstance(error, SegmentApiRefusedError):
        return UnknownSource(error.happened, "Check the token, its rights and the region of that connection.")
    if isinstance(error, SegmentApiAnswerError):
        return UnknownSource(error.happened, "Check host and region of that connection, and proxies.")
    return UnknownSource(error.happened, getattr(error, "advice", "") or _CHECK_STATUS)


def _described(proved: ProvedSource, access: PublicApiAccess) -> ProvedSource:
    """Return a proved source with its rules and destinations, as far as Segment says them in time."""
    source_id = proved.source.source_id
    try:
        proved = replace(proved, rules=access.api.identify_rules(source_id))
        fed = access.api.connected_destinations(source_id)
        return replace(proved, feeds_amplitude=any(each.enabled and each.slug in _AMPLITUDE for each in fed))
    except (SegmentApiError, TimeoutError) as error:
        # The key is proved all the same.
        reason = error.happened if isinstance(error, SegmentApiError) else "Segment was slow"
        log.info("Not all of source %r was read: %s", proved.source.slug, reason)
        return replace(proved, is_whole=isinstance(error, SegmentApiError) and not error.retryable)
