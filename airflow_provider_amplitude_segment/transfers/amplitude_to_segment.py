"""The sync operator: each run syncs one Amplitude cohort to one or more Segment sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_amplitude_segment.links.amplitude import AmplitudeCohortLink
from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.task.reporting.lineage import LineageMixin
from airflow_provider_amplitude_segment.task.stopping import StoppableMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context


class AmplitudeCohortToSegmentOperator(LineageMixin, StoppableMixin, BaseOperator):
    """Sync an Amplitude cohort to Segment: the first sync sends all members, each later one only the changes.

    The operator exports the cohort, compares it with the state last delivered to each Segment source, and sends one
    ``identify`` for each change, with the trait ``<cohort_name> (<cohort_id>)`` set to ``true`` or ``false``. Users
    without a ``user_id`` are skipped and counted. It returns the ``SyncReport`` as a dictionary. The XCom key
    ``sync_report`` has the report also when the task fails.

    All parameters but ``notifiers`` and ``deferrable`` are templates, read at run time.

    :param cohort_id: Amplitude's cohort ID.
    :param amplitude_conn_id: the Amplitude project's connection.
    :param segment_conn_id: one connection ID, or several: one export, delivered to each.
    :param sync_mode: ``incremental`` sends the changes. ``full`` sends ``true`` to all members and ``false`` to all
        former members.
    :param trait_name: a template with the plain fields ``{cohort_name}`` and ``{cohort_id}``.
    :param on_trait_change: what to do when the trait key is not the one of the last sync. ``retire`` sends all members
        under the new key and ``false`` under the old one; it refuses an old key that another task set. ``take-over``
        does the same with any old key. ``keep`` keeps the old key.
    :param max_exit_ratio: refuse a sync, before anything is sent, in which more than this share of the known members
        (and at least 100) would exit; ``None``: no limit.
    :param on_empty_cohort: what to do when the export has no members but the state has: ``fail``, ``sync`` or
        ``skip``.
    :param on_guard: what ``max_exit_ratio`` and ``on_empty_cohort='fail'`` do when they refuse a sync: ``fail``, or
        ``ask`` a person in Airflow's UI and wait without a worker slot. ``ask`` needs Airflow 3.1.
    :param approvers: users who may answer, as Airflow's auth manager identifies them; ``None``: all who may edit the
        DAG run.
    :param approval_timeout: seconds that the task waits for the answer; then nothing is sent.
    :param notifiers: called with the context, and ``question`` in it, when a question is put. Not a template.
    :param on_rejected: how the task ends after Segment rejected users: ``fail`` or ``warn``. All other changes are
        delivered and committed first.
    :param on_missing_state: what to do when Airflow recorded a sync that the ledger does not have: ``fail``, or
        ``full`` to send all members again.
    :param dry_run: stop after the comparison, with counts and a file of the planned changes. It spends an export.
    :param skip_when_unchanged: end as skipped after a sync without changes, so that no asset event is created.
    :param min_exports_left: refuse to spend an export when Amplitude reports that fewer are left this month.
    :param cohort_files: a folder that Amplitude's destination "Amazon S3 (Cohorts)" writes: a URL such as
        ``s3://aws_default@bucket/path``, or an absolute path. Its newest complete set is synced instead of an export;
        ``None``: request an export through the API.
    :param events_per_second: rate limit of a destination, or of all destinations in one workspace; ``None``: no limit.
    :param max_concurrent_requests: requests to one destination at once.
    :param segment_context: sent as ``context`` with each batch, beside the package's own ``integration``.
    :param integrations: Segment's routing, e.g. ``{"All": False, "Braze": True}``.
    :param user_properties: names of Amplitude's user properties to export and to send as traits of members. A new
        value is a change.
    :param events: send, after the ``identify``, a ``track`` for each user who entered or exited in an incremental sync.
        ``True`` sends each at most once: one that may have been sent before a kill or a lost response is not sent
        again. ``at-least-once`` sends it again, so a journey may receive it twice.
    :param event_names: the names of the two events, of an entry and of an exit.
    :param events_on_first_sync: with ``events``, send an event for each member of the first sync, too.
    :param state_path: where the ledger is: an absolute path, or an ``s3://``, ``gs://`` or ``abfs://`` URL.
    :param poll_interval: seconds between polls of the export's status.
    :param export_timeout: seconds that a try waits for the export.
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
        "on_guard",
        "approvers",
        "approval_timeout",
        "on_rejected",
        "on_missing_state",
        "dry_run",
        "skip_when_unchanged",
        "min_exports_left",
        "cohort_files",
        "events_per_second",
        "max_concurrent_requests",
        "segment_context",
        "integrations",
        "user_properties",
        "events",
        "event_names",
        "events_on_first_sync",
        "state_path",
        "poll_interval",
        "export_timeout",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"segment_context": "json", "integrations": "json"}
    operator_extra_links = (AmplitudeCohortLink(), SegmentDebuggerLink())
    ui_color = "#1E61F0"
    ui_fgcolor = "#FFFFFF"

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
        on_guard: str = "fail",
        approvers: Sequence[str] | str | None = None,
        approval_timeout: float | str = 86400,
        notifiers: Sequence[Callable[[Context], object]] | Callable[[Context], object] | None = None,
        on_rejected: str = "fail",
        on_missing_state: str = "fail",
        dry_run: bool | str = False,
        skip_when_unchanged: bool | str = False,
        min_exports_left: int | str = 0,
        cohort_files: str | None = None,
        events_per_second: float | str | None = 1000,
        max_concurrent_requests: int | str = 4,
        segment_context: Mapping[str, Any] | str | None = None,
        integrations: Mapping[str, Any] | str | None = None,
        user_properties: Sequence[str] | str | None = None,
        events: bool | str = False,
        event_names: Sequence[str] | Mapping[str, str] | str = ("Cohort Entered", "Cohort Exited"),
        events_on_first_sync: bool | str = False,
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
        self.on_guard = on_guard
        self.approvers = approvers
        self.approval_timeout = approval_timeout
        self.notifiers = notifiers
        self.on_rejected = on_rejected
        self.on_missing_state = on_missing_state
        self.dry_run = dry_run
        self.skip_when_unchanged = skip_when_unchanged
        self.min_exports_left = min_exports_left
        self.cohort_files = cohort_files
        self.events_per_second = events_per_second
        self.max_concurrent_requests = max_concurrent_requests
        self.segment_context = segment_context
        self.integrations = integrations
        self.user_properties = user_properties
        self.events = events
        self.event_names = event_names
        self.events_on_first_sync = events_on_first_sync
        self.state_path = state_path
        self.poll_interval = poll_interval
        self.export_timeout = export_timeout
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Sync, defer until the export is complete, or ask a person where a guard stops the sync.

        :raises AirflowFailException: for an error where a retry cannot help.
        :raises AmplitudeSegmentError: for an error where a retry may help; the retry resumes where this try ended.
        :raises AirflowSkipException: for an empty cohort with ``on_empty_cohort='skip'``, or a sync without changes
            with ``skip_when_unchanged``.
        """
        from airflow_provider_amplitude_segment.task.execution import execute_sync  # noqa: PLC0415 - not while parsed

        return execute_sync(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Resume after the deferral, in a new process."""
        from airflow_provider_amplitude_segment.task.execution import resume_sync  # noqa: PLC0415 - not while parsed

        return resume_sync(self, context, event or {})

    def execute_approved(
        self, context: Context, event: dict[str, Any] | None = None, asked: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Resume after a person answered, in a new process: sync with the same export, or end as the guard does."""
        from airflow_provider_amplitude_segment.task.execution import resume_asked  # noqa: PLC0415 - not while parsed

        return resume_asked(self, context, event or {}, asked or {})
