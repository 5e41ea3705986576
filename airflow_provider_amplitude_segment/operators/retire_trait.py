"""The retire operator: one run takes one cohort's trait back from everyone who was ever told it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.task.reporting.lineage import LineageMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context


class AmplitudeCohortTraitRetireOperator(LineageMixin, BaseOperator):
    """Tell Segment ``false`` for everyone ever told ``true`` for a cohort, and forget the cohort's state.

    For a cohort that is synced no more, as it was archived or deleted in Amplitude, or is not wanted in Segment:
    without this its last members stay ``true`` forever. Only the state is asked, not Amplitude. A later sync of the
    cohort is a first one. Returns the ``SyncReport`` as a dictionary, which also stands under the XCom key
    ``sync_report`` when the task fails.

    All parameters are templates, read at run time.

    :param cohort_id: Amplitude's cohort ID, as it was synced with.
    :param segment_conn_id: one connection ID, or several: the destinations where the cohort is retired.
    :param on_rejected: how the task ends after users were refused for good: ``fail`` or ``warn``. All others are told
        and forgotten first; these stay known, and are told again by the next run.
    :param on_missing_state: an earlier sync or retirement is remembered that the ledger knows nothing of: ``fail``, or
        ``full`` to go on with what is left.
    :param dry_run: stop before anything is sent: counts, and the planned changes as a file.
    :param events_per_second: pace of a destination, or of all that name one workspace; ``None``: no limit.
    :param max_concurrent_requests: requests to one destination at once.
    :param segment_context: sent as ``context`` with each batch, beside our own ``integration``.
    :param integrations: Segment's routing, the same that the cohort was synced with.
    :param state_path: where the ledger is kept: an absolute path, or any ``ObjectStoragePath`` URL.
    :param app_id: the Amplitude project's number; needed only where several projects have told a cohort of this ID.
    """

    template_fields: Sequence[str] = (
        "cohort_id",
        "segment_conn_id",
        "on_rejected",
        "on_missing_state",
        "dry_run",
        "events_per_second",
        "max_concurrent_requests",
        "segment_context",
        "integrations",
        "state_path",
        "app_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"segment_context": "json", "integrations": "json"}
    operator_extra_links = (SegmentDebuggerLink(),)
    ui_color = "#6E7787"
    ui_fgcolor = "#FFFFFF"

    # Set while execute runs; an event cannot be copied, and Airflow copies operators while it parses.
    stop_event: threading.Event | None = None

    def __init__(
        self,
        *,
        cohort_id: str,
        segment_conn_id: str | Sequence[str] = "segment_default",
        on_rejected: str = "fail",
        on_missing_state: str = "fail",
        dry_run: bool | str = False,
        events_per_second: float | str | None = 1000,
        max_concurrent_requests: int | str = 4,
        segment_context: Mapping[str, Any] | str | None = None,
        integrations: Mapping[str, Any] | str | None = None,
        state_path: str | None = None,
        app_id: str | int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.segment_conn_id = segment_conn_id
        self.on_rejected = on_rejected
        self.on_missing_state = on_missing_state
        self.dry_run = dry_run
        self.events_per_second = events_per_second
        self.max_concurrent_requests = max_concurrent_requests
        self.segment_context = segment_context
        self.integrations = integrations
        self.state_path = state_path
        self.app_id = app_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Retire the cohort.

        :raises AirflowFailException: what a retry cannot cure.
        :raises AmplitudeSegmentError: what a retry may cure; the retry resumes where this try ended.
        """
        from airflow_provider_amplitude_segment.task.execution import execute_retirement  # noqa: PLC0415 - not while parsed

        return execute_retirement(self, context)

    def on_kill(self) -> None:
        """Stop after the batches in flight. What is right rests on the ledger alone."""
        if self.stop_event is not None:
            # Airflow calls this from a signal handler: in the thread that may hold the event's lock just now.
            threading.Thread(target=self.stop_event.set, daemon=True).start()
