"""The link from a task to the debugger of its Segment source."""

from __future__ import annotations

from airflow_provider_amplitude_segment.links.pushed_link import PushedLink


class SegmentDebuggerLink(PushedLink):
    """The source's debugger; hidden where no connection names its workspace and source.

    For several destinations it leads to the first one with both names; the log has a line for each.
    """

    name = "Debugger in Segment"
    xcom_key = "segment_debugger_url"
