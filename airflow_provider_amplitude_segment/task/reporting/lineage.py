"""Lineage for OpenLineage: the cohort in, Segment's source and trait out, row counts and errors.

Airflow's OpenLineage provider (extra ``openlineage``) finds the three methods by their names. They raise nothing,
because lineage must not fail a sync.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report.report import DestinationReport, SyncReport

log = logging.getLogger(__name__)


class LineageMixin:
    """Adds lineage to an operator with ``cohort_id``, ``segment_conn_id`` and, for a sync, ``amplitude_conn_id``."""

    cohort_id: Any

    sync_report: SyncReport | None = None
    """Of the try that this process ran. For a deferred task, the process that resumed it has the report."""

    def get_openlineage_facets_on_start(self) -> Any:
        """Return the cohort as input, or ``None``. The trait is not known yet."""
        return _lineage(self, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's signature
        """Return the cohort as input and each destination's trait as output, with counts."""
        return _lineage(self, self.sync_report)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the same, and the error of each destination that is not finished."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _lineage(operator: LineageMixin, report: SyncReport | None) -> Any:
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - an extra

        outputs = [] if report is None or report.dry_run else [o for d in report.destinations if (o := _output(d))]
        # The retire operator reads no cohort.
        inputs = [_input(operator, report)] if hasattr(operator, "amplitude_conn_id") else []
        return OperatorLineage(inputs=inputs, outputs=outputs, run_facets=_errors(report) if report else {})
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - a wrong setting or connection fails the task itself
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
        # Clients from before 2025 do not have the facet.
        return {}
    return {"inputStatistics": InputStatisticsInputDatasetFacet(rowCount=report.rows)}


def _output(destination: DestinationReport) -> Any:
    """Return the trait at a destination, or ``None`` where the sync did not reach a trait."""
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415 - an extra
        DocumentationDatasetFacet,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )

    if destination.trait is None:
        return None
    namespace, name, facets = trait_dataset(destination.segment_conn_id, destination.trait)
    if destination.error:
        # Where the task fails, Airflow writes its own errorMessage of the run, with one destination's error.
        facets["documentation"] = DocumentationDatasetFacet(description=f"Not finished: {destination.error}")
    return OutputDataset(
        namespace=namespace,
        name=name,
        facets=facets,
        outputFacets={"outputStatistics": OutputStatisticsOutputDatasetFacet(rowCount=destination.acknowledged)},
    )


def trait_dataset(segment_conn_id: str, trait: str) -> tuple[str, str, dict[str, Any]]:
    """Return namespace, name and facets of the dataset that a trait at a source is."""
    from airflow.providers.common.compat.openlineage.facet import (  # noqa: PLC0415 - an extra
        SchemaDatasetFacet,
        SchemaDatasetFacetFields,
    )

    from airflow_provider_amplitude_segment.hooks.segment import SegmentHook  # noqa: PLC0415 - as above

    segment = SegmentHook(segment_conn_id).describe()
    source = f"{segment.workspace}/{segment.source}" if segment.workspace and segment.source else segment.name
    fields = [
        SchemaDatasetFacetFields(name="userId", type="string"),
        SchemaDatasetFacetFields(name=f"traits.{trait}", type="boolean"),
    ]
    return f"segment://{segment.host}", f"{source}/{trait}", {"schema": SchemaDatasetFacet(fields=fields)}


def _errors(report: SyncReport) -> dict[str, Any]:
    """Return the errors of the destinations that are not finished, as the run's error."""
    from airflow.providers.common.compat.openlineage.facet import ErrorMessageRunFacet  # noqa: PLC0415 - an extra

    errors = [f"{each.segment_conn_id}: {each.error}" for each in report.destinations if each.error]
    if not errors:
        return {}
    return {"errorMessage": ErrorMessageRunFacet(message="\n".join(errors), programmingLanguage="python")}


def _amplitude_host(operator: Any) -> str:
    """Return Amplitude's host; it shows the data region."""
    from airflow_provider_amplitude_segment.core.http.base_url import normal_host  # noqa: PLC0415 - as above
    from airflow_provider_amplitude_segment.hooks.amplitude import HOSTS, AmplitudeHook  # noqa: PLC0415
    from airflow_provider_amplitude_segment.hooks.connection.endpoint import (  # noqa: PLC0415
        find_connection,
        read_endpoint,
    )
    from airflow_provider_amplitude_segment.task.parameters import read_connection_id  # noqa: PLC0415

    conn_id = read_connection_id("amplitude_conn_id", operator.amplitude_conn_id)
    return normal_host(read_endpoint(find_connection(AmplitudeHook(conn_id), conn_id), HOSTS).base_url)
