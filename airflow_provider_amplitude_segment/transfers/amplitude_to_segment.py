"""The operator: one run is one sync of one Amplitude cohort to one or more Segment sources."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, conf

from airflow_provider_amplitude_segment.links.amplitude import AmplitudeCohortLink
from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.transfers.lineage import TellsLineage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_amplitude_segment.core.outcome import ExportIncomplete, Skipped
    from airflow_provider_amplitude_segment.core.report import SyncReport
    from airflow_provider_amplitude_segment.exceptions import AmplitudeSegmentError

REPORT_XCOM_KEY = "sync_report"

_TRIGGER_MARGIN = timedelta(minutes=5)


class AmplitudeCohortToSegmentOperator(TellsLineage, BaseOperator):
    """Tell Segment who is in an Amplitude cohort: first everyone, then only who moved.

    Exports the cohort, compares it with what each Segment source was last told, and sends one ``identify`` for each
    user who moved, with the trait ``<cohort_name> (<cohort_id>)`` set to ``true`` or ``false``. Only ``user_id``
    counts; anonymous users are skipped and counted. Returns the ``SyncReport`` as a dictionary, which also stands under
    the XCom key ``sync_report`` when the task fails.

    All parameters but ``deferrable`` are templates, read at run time.

    :param cohort_id: Amplitude's cohort ID.
    :param amplitude_conn_id: the Amplitude project's connection.
    :param segment_conn_id: one connection ID, or several: one export, delivered to each.
    :param sync_mode: ``incremental``, or ``full``: ``true`` to every member and ``false`` to everyone ever told
        ``true`` who is not one now.
    :param trait_name: a template of the plain fields ``{cohort_name}`` and ``{cohort_id}``.
    :param on_trait_change: the trait key is another than last told: ``retire`` tells the new key in full and ``false``
        under the old; ``keep`` stays with the old. Where another task named the old key, ``retire`` is refused, and
        ``take-over`` does the same.
    :param max_exit_ratio: refuse, before anything is sent, a sync where more than this share of the known members (and
        at least 100) would leave; ``None``: no limit.
    :param on_empty_cohort: an export with no member where members were known: ``fail``, ``sync`` or ``skip``.
    :param on_rejected: how the task ends after users were refused for good: ``fail`` or ``warn``. All others are
        delivered and committed first.
    :param on_missing_state: an earlier sync is remembered that the ledger knows nothing of: ``fail``, or ``full`` to
        tell everyone anew.
    :param dry_run: stop after the difference: counts, and the planned changes as a file. It spends an export.
    :param skip_when_unchanged: end as skipped after a sync that had nothing to tell, so that no asset event goes out.
    :param min_exports_left: refuse to spend an export when Amplitude says that fewer are left this month.
    :param events_per_second: pace of a destination, or of all that name one workspace; ``None``: no limit.
    :param max_concurrent_requests: requests to one destination at once.
    :param segment_context: sent as ``context`` with each batch, beside our own ``integration``.
    :param integrations: Segment's routing, e.g. ``{"All": False, "Braze": True}``.
    :param user_properties: names of user properties of Amplitude, exported along and sent as traits of members; a
        changed value counts as a move.
    :param state_path: where the ledger is kept: an absolute path, or any ``ObjectStoragePath`` URL.
    :param poll_interval: seconds between two questions after the export.
    :param export_timeout: seconds a try waits for the export.
    :param deferrable: wait for the export without a worker slot.
    """

    template_fields: Sequence[str] = (
        "cohort_id",
        "amplitude_conn_id",
        "segment_conn_id",
        "sync_mode",
        "trait_name",
        "on_trait_change",
        "max_exit_ratio",
        "on_empty_cohort",
        "on_rejected",
        "on_missing_state",
        "dry_run",
        "skip_when_unchanged",
        "min_exports_left",
        "events_per_second",
        "max_concurrent_requests",
        "segment_context",
        "integrations",
        "user_properties",
        "state_path",
        "poll_interval",
        "export_timeout",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"segment_context": "json", "integrations": "json"}
    operator_extra_links = (AmplitudeCohortLink(), SegmentDebuggerLink())
    ui_color = "#1E61F0"
    ui_fgcolor = "#FFFFFF"

    # Set while execute runs; an event cannot be copied, and Airflow copies operators while it parses.
    _stop: threading.Event | None = None

    def __init__(
        self,
        *,
        cohort_id: str,
        amplitude_conn_id: str = "amplitude_default",
        segment_conn_id: str | Sequence[str] = "segment_default",
        sync_mode: str = "incremental",
        trait_name: str = "{cohort_name} ({cohort_id})",
        on_trait_change: str = "retire",
        max_exit_ratio: float | str | None = 0.5,
        on_empty_cohort: str = "fail",
        on_rejected: str = "fail",
        on_missing_state: str = "fail",
        dry_run: bool | str = False,
        skip_when_unchanged: bool | str = False,
        min_exports_left: int | str = 0,
        events_per_second: float | str | None = 1000,
        max_concurrent_requests: int | str = 4,
        segment_context: Mapping[str, Any] | str | None = None,
        integrations: Mapping[str, Any] | str | None = None,
        user_properties: Sequence[str] | str | None = None,
        state_path: str | None = None,
        poll_interval: float | str = 10,
        export_timeout: float | str = 3600,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.amplitude_conn_id = amplitude_conn_id
        self.segment_conn_id = segment_conn_id
        self.sync_mode = sync_mode
        self.trait_name = trait_name
        self.on_trait_change = on_trait_change
        self.max_exit_ratio = max_exit_ratio
        self.on_empty_cohort = on_empty_cohort
        self.on_rejected = on_rejected
        self.on_missing_state = on_missing_state
        self.dry_run = dry_run
        self.skip_when_unchanged = skip_when_unchanged
        self.min_exports_left = min_exports_left
        self.events_per_second = events_per_second
        self.max_concurrent_requests = max_concurrent_requests
        self.segment_context = segment_context
        self.integrations = integrations
        self.user_properties = user_properties
        self.state_path = state_path
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Sync, or defer until the export is complete.

        :raises AirflowFailException: what a retry cannot cure.
        :raises AmplitudeSegmentError: what a retry may cure; it goes on where this try ended.
        :raises AirflowSkipException: ``on_empty_cohort='skip'`` met an empty cohort, or ``skip_when_unchanged`` a
            sync that had nothing to tell.
        """
        from airflow_provider_amplitude_segment.transfers.parameters import read_flag  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_beginning import begin_task  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_ending import end_for_airflow  # noqa: PLC0415

        with end_for_airflow():
            begin_task(self, context["ti"])
            waits = not read_flag("deferrable", self.deferrable)
        return self._sync(context, waits=waits)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the deferral, in a new process: what is needed stands in the run record."""
        from airflow_provider_amplitude_segment.transfers.export_event import read_event  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_beginning import begin_task  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_ending import end_for_airflow  # noqa: PLC0415

        with end_for_airflow():
            begin_task(self, context["ti"])
            waited_in_vain = read_event(self, event or {})
        return self._sync(context, waits=True, waited_in_vain=waited_in_vain)

    def on_kill(self) -> None:
        """Stop after the batches in flight. What is right rests on the ledger alone."""
        if self._stop is not None:
            # Airflow calls this from a signal handler: in the thread that may hold the event's lock just now.
            threading.Thread(target=self._stop.set, daemon=True).start()

    def _sync(
        self, context: Context, *, waits: bool, waited_in_vain: AmplitudeSegmentError | None = None
    ) -> dict[str, Any]:
        from airflow_provider_amplitude_segment.core.outcome import ExportIncomplete, Skipped  # noqa: PLC0415

        outcome = self._run(context, waits=waits, waited_in_vain=waited_in_vain)
        if isinstance(outcome, ExportIncomplete):
            self._defer(outcome)
            # Not reached: deferring raises.
            return {}
        if isinstance(outcome, Skipped):
            raise AirflowSkipException(f"Nothing was sent: {outcome.reason}.")
        return outcome.as_dict()

    def _run(
        self, context: Context, *, waits: bool, waited_in_vain: AmplitudeSegmentError | None
    ) -> SyncReport | ExportIncomplete | Skipped:
        from airflow_provider_amplitude_segment.clients.scratch_folder import open_scratch  # noqa: PLC0415
        from airflow_provider_amplitude_segment.core.sync import CohortSync  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.account import run_with_account  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.progress_store import ProgressStore  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.remembrance import recall  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.sync_outside import open_outside  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.sync_settings import read_settings  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_ending import end_for_airflow  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.task_run import configuration_of, run_of  # noqa: PLC0415

        with end_for_airflow(), open_scratch() as scratch:
            settings = replace(read_settings(self), run_configuration=configuration_of(context))
            with open_outside(self, settings, scratch) as outside:
                self._stop = outside.stop
                remembered = recall(context["ti"], settings.cohort_id, outside.posts)
                progress = ProgressStore(context.get("task_state_store"), context["ti"].try_number)
                outside = replace(outside, show=progress.show)  # noqa: PLW2901 - the same, with somebody who looks on
                sync = CohortSync(settings, run_of(context), outside, remembered=remembered)
                try:
                    return run_with_account(
                        self,
                        context,
                        sync,
                        lambda: progress.during(lambda: sync.run(waits=waits, waited_in_vain=waited_in_vain)),
                        skips_unchanged=settings.skip_when_unchanged,
                    )
                finally:
                    self._stop = None

    def _defer(self, outcome: ExportIncomplete) -> None:
        from airflow_provider_amplitude_segment.transfers.state_root import state_place  # noqa: PLC0415
        from airflow_provider_amplitude_segment.transfers.sync_settings import read_settings  # noqa: PLC0415
        from airflow_provider_amplitude_segment.triggers.amplitude import (  # noqa: PLC0415
            AmplitudeCohortExportTrigger,
        )

        settings = read_settings(self)
        self.log.info("Deferring until export %s is complete", outcome.request_id)
        self.defer(
            trigger=AmplitudeCohortExportTrigger(
                amplitude_conn_id=str(self.amplitude_conn_id).strip(),
                request_id=outcome.request_id,
                poll_interval=settings.poll_interval,
                export_timeout=settings.export_timeout,
                state_place=state_place(self.state_path),
                claims=dict(outcome.claims),
            ),
            method_name="execute_complete",
            # The trigger ends by itself before. This ends one that no triggerer runs, or that began to count again.
            timeout=timedelta(seconds=settings.export_timeout) + _TRIGGER_MARGIN,
        )
