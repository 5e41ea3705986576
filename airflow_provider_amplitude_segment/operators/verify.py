"""The verify operator: each run compares what Segment has of one cohort with what the syncs delivered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_amplitude_segment.links.segment import SegmentDebuggerLink
from airflow_provider_amplitude_segment.task.reporting.verify_lineage import VerifyLineageMixin
from airflow_provider_amplitude_segment.task.stopping import StoppableMixin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context


class SegmentCohortVerifyOperator(VerifyLineageMixin, StoppableMixin, BaseOperator):
    """Ask Segment whether it has what the last sync of a cohort delivered.

    Segment responds with 200 to messages that it drops afterwards. The operator reads the ledger of the syncs. From
    Segment's Public API it reads how many identifies the source received, failed and filtered in the minutes of the
    last delivery, and which users Segment suppresses. Where the connection has a space, it asks the Profile API for a
    sample of the users. It sends nothing to a source. It returns the ``VerifyReport`` as a dictionary. The XCom key
    ``verify_report`` has the report also when the task fails.

    All parameters but ``deferrable`` are templates, read at run time.

    :param cohort_id: Amplitude's cohort ID, as in the syncs.
    :param segment_conn_id: one connection ID, or several, as in the syncs. Each names its Public API connection in
        ``api_conn_id``.
    :param sample_size: users to ask for: half of them from the last sync's changes, half from the whole state, and of
        these half members.
    :param max_mismatch_ratio: the task fails when in either half of the sample a greater share of the compared users
        differs from the ledger.
    :param settle_seconds: seconds after the last delivery before Segment is asked.
    :param recheck_seconds: for how long a user who differs is asked for again before the difference counts.
    :param heal: set the users who differ in doubt in the ledger, so that the next sync sends them again.
    :param integrations: Segment's routing, the same as in the syncs.
    :param state_path: where the ledger is: an absolute path, or an ``s3://``, ``gs://`` or ``abfs://`` URL.
    :param app_id: the Amplitude project's number; needed only where several projects synced a cohort with this ID.
    :param deferrable: wait for ``settle_seconds`` without a worker slot.
    """

    template_fields: Sequence[str] = (
        "cohort_id",
        "segment_conn_id",
        "sample_size",
        "max_mismatch_ratio",
        "settle_seconds",
        "recheck_seconds",
        "heal",
        "integrations",
        "state_path",
        "app_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"integrations": "json"}
    operator_extra_links = (SegmentDebuggerLink(),)
    ui_color = "#2F8F5B"
    ui_fgcolor = "#FFFFFF"

    def __init__(
        self,
        *,
        cohort_id: str,
        segment_conn_id: str | Sequence[str] = "segment_default",
        sample_size: int | str = 1000,
        max_mismatch_ratio: float | str = 0.0,
        settle_seconds: float | str = 60,
        recheck_seconds: float | str = 600,
        heal: bool | str = False,
        integrations: Mapping[str, Any] | str | None = None,
        state_path: str | None = None,
        app_id: str | int | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cohort_id = cohort_id
        self.segment_conn_id = segment_conn_id
        self.sample_size = sample_size
        self.max_mismatch_ratio = max_mismatch_ratio
        self.settle_seconds = settle_seconds
        self.recheck_seconds = recheck_seconds
        self.heal = heal
        self.integrations = integrations
        self.state_path = state_path
        self.app_id = app_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify, or defer until Segment has settled.

        :raises AirflowFailException: for an error where a retry cannot help; ``MismatchError`` is one.
        :raises AmplitudeSegmentError: for an error where a retry may help.
        """
        from airflow_provider_amplitude_segment.task.verify_execution import execute_verification  # noqa: PLC0415 - not while parsed

        return execute_verification(self, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Verify after the deferral, in a new process."""
        from airflow_provider_amplitude_segment.task.verify_execution import resume_verification  # noqa: PLC0415 - not while parsed

        return resume_verification(self, context)
