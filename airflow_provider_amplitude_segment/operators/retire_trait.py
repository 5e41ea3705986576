"""The retire operator: each run sets one cohort's trait to ``false`` for all users who may have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.task.reporting.lineage import LineageMixin
from airflow_provider_amplitude_segment.task.stopping import StoppableMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context


class AmplitudeCohortTraitRetireOperator(LineageMixin, StoppableMixin, BaseOperator):
    """Send ``false`` for all users whom Segment may have as ``true`` for a cohort, and delete the cohort's state.

    Use it for a cohort that is no longer synced, because it was archived or deleted in Amplitude or is not wanted in
    Segment. Without it the last members stay ``true`` forever. The operator reads the ledger, and sends no request to
    Amplitude. A later sync of the cohort is a first sync. It returns the ``SyncReport`` as a dictionary. The XCom key
    ``sync_report`` has the report also when the task fails.

    All parameters are templates, read at run time.

    :param cohort_id: Amplitude's cohort ID, as in the syncs.
    :param segment_conn_id: one connection ID, or several: the destinations where the cohort is retired.
    :param on_rejected: how the task ends after Segment rejected users: ``fail`` or ``warn``. All other changes are
        delivered and committed first. The rejected users stay in the state, and the next run sends them again.
    :param on_missing_state: what to do when Airflow recorded a sync or retirement that the ledger does not have:
        ``fail``, or ``full`` to retire the users whom the ledger has.
    :param dry_run: stop before anything is sent, with counts and a file of the planned changes.
    :param events_per_second: rate limit of a destination, or of all destinations in one workspace; ``None``: no limit.
    :param max_concurrent_requests: requests to one destination at once.
    :param segment_context: sent as ``context`` with each batch, beside the package's own ``integration``.
    :param integrations: Segment's routing, the same as in the syncs.
    :param state_path: where the ledger is: an absolute path, or an ``s3://``, ``gs://`` or ``abfs://`` URL.
    :param app_id: the Amplitude project's number; needed only where several projects synced a cohort with this ID.
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

        :raises AirflowFailException: for an error where a retry cannot help.
        :raises AmplitudeSegmentError: for an error where a retry may help; the retry resumes where this try ended.
        """
        from airflow_provider_amplitude_segment.task.execution import execute_retirement  # noqa: PLC0415 - not while parsed

        return execute_retirement(self, context)
