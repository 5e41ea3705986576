"""The links of one task: pushed before anything is asked of Amplitude."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.links.amplitude import AmplitudeCohortLink
from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_amplitude_segment.links.pushed_link import PushedLink

log = logging.getLogger(__name__)


def push_links(ti: Any, *, cohort_id: str, amplitude_conn_id: str | None, segment_conn_ids: Sequence[str]) -> None:
    """Push the URLs of ``AmplitudeCohortLink`` and ``SegmentDebuggerLink`` that the connections make known.

    Call it before the task waits or defers. Never raises: a connection that cannot be read fails the sync, which says
    more of it. A link without a URL is pushed as empty text.

    :param ti: the task instance; its map index is its own.
    :param cohort_id: Amplitude's cohort ID.
    :param amplitude_conn_id: the Amplitude project's connection; ``None`` where the task has none.
    :param segment_conn_ids: the destinations' connections; the link leads to the first one that names workspace and
        source. The log has the debuggers of all where there are several.
    """
    urls: dict[type[PushedLink], str | None] = {}
    with _without_raising():
        if amplitude_conn_id:
            urls[AmplitudeCohortLink] = AmplitudeHook(amplitude_conn_id).get_cohort_url(cohort_id)
        found = {conn_id: SegmentHook(conn_id).get_debugger_url() for conn_id in segment_conn_ids}
        debuggers = {conn_id: url for conn_id, url in found.items() if url}
        urls[SegmentDebuggerLink] = next(iter(debuggers.values()), None)
        if len(debuggers) > 1:
            for conn_id, url in debuggers.items():
                log.info("Debugger of %s: %s", conn_id, url)
    with _without_raising():
        _push(ti, urls)


def push_no_links(ti: Any) -> None:
    """Push every link as empty text: of a task whose parameters do not say where its links lead. Never raises."""
    with _without_raising():
        _push(ti, {})


def _push(ti: Any, urls: dict[type[PushedLink], str | None]) -> None:
    # Also where there is no URL: Airflow 3 asks for each link when a try ends, and logs an error for one that it does
    # not find.
    for link in (AmplitudeCohortLink, SegmentDebuggerLink):
        ti.xcom_push(key=link.xcom_key, value=urls.get(link) or "")


@contextmanager
def _without_raising() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, no sync fails for a link
        # Its text may be a secrets backend's.
        log.warning("The task has no links: a connection could not be read (%s).", type(error).__name__)
