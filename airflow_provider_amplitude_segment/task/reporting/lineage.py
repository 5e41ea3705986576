"""Lineage for OpenLineage: the cohort in, Segment's source and trait out, how many rows, and what went wrong.

Airflow's OpenLineage provider finds the three methods by their names, and calls them where a sync must not fail for
them: nothing is raised here. Without the provider (extra ``openlineage``) nobody calls them.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

log = logging.getLogger(__name__)


class LineageMixin:
    """An operator with ``cohort_id``, ``segment_conn_id`` and mostly ``amplitude_conn_id`` that leaves a report."""

    cohort_id: Any

    sync_report: SyncReport | None = None
    """Of the try that this process ran; a deferred task is completed, and told of, by the process that resumed it."""

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the cohort as input, or ``None``; the trait is known when its name is."""
        return _lineage(self, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's signature
        """Return the cohort as input and each destination's trait as output, with counts."""
        return _lineage(self, self.sync_report)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the same, and what ended each destination that is not finished."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _lineage(operator: LineageMixin, report: SyncReport | None) -> Any:
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - an extra

        outputs = [] if report is None or report.dry_run else [o for d in report.destinations if (o := _output(d))]
        # A retirement reads no cohort.
        inputs = [_input(operator, report)] if hasattr(operator, "amplitude_conn_id") else []
        return OperatorLineage(inputs=inputs, outputs=outputs, run_facets=_errors(report) if report else {})
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - a setting or connection that is wrong ends the task by itself
        log.debug("No lineage: %s", type(error).__name__)
        return None


def _input(operator: Any, report: SyncReport | None) -> Any:
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415 - an extra
        DocumentationDatasetFacet,
        InputDataset,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    from airflow_provider_amplitude_segment.task.parameters import read_cohort_id  # noqa: PLC0415 - as above

    facets: dict[str, Any] = {
        "schema": SchemaDatasetFacet(fields=[SchemaDatasetFacetFields(name="user_id", type="string")])
    }
    if report is not None and report.cohort_name:
        facets["documentation"] = DocumentationDatasetFacet(description=f"Amplitude cohort {report.cohort_name!r}")
    return InputDataset(
        namespace=f"amplitude://{_amplitude_host(operator)}",
        name=f"cohort/{read_cohort_id(operator.cohort_id)}",
        facets=facets,
        inputFacets=_input_statistics(report),
    )


def _input_statistics(report: SyncReport | None) -> dict[str, Any]:
    if report is None or report.rows is None:
        return {}
    try:
        from openlineage.client.generated.input_statistics_input_dataset import (  # noqa: PLC0415 - an extra
            InputStatisticsInputDatasetFacet,
        )
    except ImportError:
        # Clients of before 2025 have none.
        return {}
    return {"inputStatistics": InputStatisticsInputDatasetFacet(rowCount=report.rows)}


def _output(told: DestinationReport) -> Any:
    """Return the trait at a destination; ``None`` where it never came to a trait."""
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415 - an extra
        DocumentationDatasetFacet,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    from airflow_provider_amplitude_segment.hooks.segment import SegmentHook  # noqa: PLC0415 - as above

    if told.trait is None:
        return None
    segment = SegmentHook(told.segment_conn_id).describe()
    source = f"{segment.workspace}/{segment.source}" if segment.workspace and segment.source else segment.name
    fields = [
        SchemaDatasetFacetFields(name="userId", type="string"),
        SchemaDatasetFacetFields(name=f"traits.{told.trait}", type="boolean"),
    ]
    facets: dict[str, Any] = {"schema": SchemaDatasetFacet(fields=fields)}
    if told.error:
        # The run's errorMessage is Airflow's own where the task fails, and names one destination.
        facets["documentation"] = DocumentationDatasetFacet(description=f"Not finished: {told.error}")
    return OutputDataset(
        namespace=f"segment://{segment.host}",
        name=f"{source}/{told.trait}",
        facets=facets,
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=told.acknowledged)},
    )


def _errors(report: SyncReport) -> dict[str, Any]:
    """Return why destinations are not finished, as the error of the run."""
    from airflow.providers.common.compat.openlineage.facet import ErrorMessageRunFacet  # noqa: PLC0415 - an extra

    errors = [f"{told.segment_conn_id}: {told.error}" for told in report.destinations if told.error]
    if not errors:
        return {}
    return {"errorMessage": ErrorMessageRunFacet(message="\n".join(errors), programmingLanguage="python")}


def _amplitude_host(operator: Any) -> str:
    """Return Amplitude's host; it tells the data region."""
    from airflow_provider_amplitude_segment.core.http.base_url import normal_host  # noqa: PLC0415 - as above
    from airflow_provider_amplitude_segment.hooks.amplitude import HOSTS, AmplitudeHook  # noqa: PLC0415
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import (  # noqa: PLC0415
        find_connection,
        read_endpoint,
    )
    from airflow_provider_amplitude_segment.task.parameters import read_connection_id  # noqa: PLC0415

    conn_id = read_connection_id("amplitude_conn_id", operator.amplitude_conn_id)
    return normal_host(read_endpoint(find_connection(AmplitudeHook(conn_id), conn_id), HOSTS).base_url)
