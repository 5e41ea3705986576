"""From a task to the debugger of the Segment source that it tells."""

from __future__ import annotations

from airflow_provider_amplitude_segment.links.pushed_link import PushedLink


class SegmentDebuggerLink(PushedLink):
    """The source's debugger; hidden where no connection names its workspace and source.

    Of several destinations it is the first one that does; the log has a line for each.
    """

    name = "Debugger in Segment"
    xcom_key = "segment_debugger_url"
