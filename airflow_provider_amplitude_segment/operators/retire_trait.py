"""The retire operator: one run takes one cohort's trait back from everyone who was ever told it."""

from __future__ import annotations

import threading
from dataclasses import replace
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
    _stop: threading.Event | None = None

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
        :raises AmplitudeSegmentError: what a retry may cure; it goes on where this try ended.
        """
        from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch  # noqa: PLC0415
        from airflow_provider_amplitude_segment.core.retirement import CohortRetirement  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.errors import translate_errors  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.ports import open_delivery_ports  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.reporting.progress import ProgressStore  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.reporting.publish import run_and_publish  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.reporting.xcom import pull_generations  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.run import configuration_of, run_of  # noqa: PLC0415
        from airflow_provider_amplitude_segment.task.settings import (  # noqa: PLC0415
            read_app_id,
            read_retire_settings,
        )
        from airflow_provider_amplitude_segment.task.start import begin_task  # noqa: PLC0415

        with translate_errors(), open_scratch() as scratch:
            begin_task(self, context["ti"])
            settings = replace(read_retire_settings(self), run_configuration=configuration_of(context))
            app_id = read_app_id(self.app_id)
            with open_delivery_ports(self, settings, scratch) as ports:
                self._stop = ports.stop
                remembered = pull_generations(context["ti"], settings.cohort_id, ports.segment_clients)
                progress = ProgressStore(context.get("task_state_store"), context["ti"].try_number)
                ports = replace(ports, show=progress.show)  # noqa: PLW2901 - the same, with somebody who looks on
                retirement = CohortRetirement(settings, run_of(context), ports, app_id=app_id, remembered=remembered)
                try:
                    run_and_publish(self, context, retirement, lambda: progress.during(retirement.run))
                finally:
                    self._stop = None
                return retirement.report.as_dict()

    def on_kill(self) -> None:
        """Stop after the batches in flight. What is right rests on the ledger alone."""
        if self._stop is not None:
            # Airflow calls this from a signal handler: in the thread that may hold the event's lock just now.
            threading.Thread(target=self._stop.set, daemon=True).start()
