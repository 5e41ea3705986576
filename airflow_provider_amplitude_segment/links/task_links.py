"""Push the links of one task, before any request to Amplitude."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.links.amplitude import AmplitudeCohortLink
from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.ledger.stream import Destination
    from airflow_provider_amplitude_segment.links.pushed_link import PushedLink

log = logging.getLogger(__name__)


def push_links(ti: Any, *, cohort_id: str, amplitude_conn_id: str | None, segment_conn_ids: Sequence[str]) -> None:
    """Push the URLs of ``AmplitudeCohortLink`` and ``SegmentDebuggerLink``, as far as the connections name them.

    Call it before the task waits or defers. A link without a URL is pushed as empty text. Nothing is raised, because
    the sync itself reports a connection that cannot be read.

    :param ti: the task instance.
    :param cohort_id: Amplitude's cohort ID.
    :param amplitude_conn_id: the Amplitude project's connection; ``None`` where the task has none.
    :param segment_conn_ids: the destinations' connections. The link leads to the first one that names workspace and
        source; for several, the log has all debuggers.
    """
    urls: dict[type[PushedLink], str | None] = {}
    with _without_raising():
        if amplitude_conn_id:
            urls[AmplitudeCohortLink] = AmplitudeHook(amplitude_conn_id).get_cohort_url(cohort_id)
        debuggers = _log_several({conn_id: SegmentHook(conn_id).get_debugger_url() for conn_id in segment_conn_ids})
        urls[SegmentDebuggerLink] = next(iter(debuggers), None)
    with _without_raising():
        _push(ti, urls)


def push_found_debuggers(ti: Any, destinations: Iterable[Destination]) -> None:
    """Push the debugger's URL again, with the slugs that a sync has found. Nothing is raised.

    :param ti: the task instance.
    :param destinations: of the task, in order.
    """
    with _without_raising():
        urls = {each.segment_conn_id: SegmentHook(each.segment_conn_id).get_debugger_url(each) for each in destinations}
        debuggers = _log_several(urls)
        if debuggers:
            ti.xcom_push(key=SegmentDebuggerLink.xcom_key, value=debuggers[0])


def push_no_links(ti: Any) -> None:
    """Push every link as empty text, for a task with wrong parameters. Nothing is raised."""
    with _without_raising():
        _push(ti, {})


def _log_several(urls: Mapping[str, str | None]) -> list[str]:
    """Return the debuggers that are known, by connection; log all where there are several, because a link has one."""
    debuggers = {conn_id: url for conn_id, url in urls.items() if url}
    if len(debuggers) > 1:
        for conn_id, url in debuggers.items():
            log.info("Debugger of %s: %s", conn_id, url)
    return list(debuggers.values())


def _push(ti: Any, urls: dict[type[PushedLink], str | None]) -> None:
    # Also without a URL, because Airflow 3 reads each link when a try ends, and logs an error for a missing one.
    for link in (AmplitudeCohortLink, SegmentDebuggerLink):
        ti.xcom_push(key=link.xcom_key, value=urls.get(link) or "")


@contextmanager
def _without_raising() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a link must not fail a sync
        # Only the class, because a secrets backend's text may be secret.
        log.warning("The task has no links: a connection could not be read (%s).", type(error).__name__)
