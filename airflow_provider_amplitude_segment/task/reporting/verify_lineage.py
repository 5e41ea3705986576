"""Lineage of a verification for OpenLineage: the trait at each destination in, and whether it passed as an assertion.

The trait's dataset is the one that the sync writes, so a catalogue shows the assertion there. As in ``lineage``, the
methods raise nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.task.reporting.lineage import trait_dataset

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.verification.verify_report import VerifiedDestination, VerifyReport

log = logging.getLogger(__name__)


class VerifyLineageMixin:
    """Adds lineage to the verify operator."""

    verify_report: VerifyReport | None = None
    """Of the try that this process ran."""

    def get_openlineage_facets_on_start(self) -> Any:
        """Return nothing: the trait is known only when the ledger was read."""
        return _lineage(None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's signature
        """Return each destination's trait as input, with the assertion."""
        return _lineage(self.verify_report)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Return the same, as far as it is known."""
        return self.get_openlineage_facets_on_complete(task_instance)


def _lineage(report: VerifyReport | None) -> Any:
    try:
        from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415 - an extra

        parts = [] if report is None else report.destinations
        inputs = [_input(part, report.max_mismatch_ratio) for part in parts if part.trait is not None and report]
        return OperatorLineage(inputs=inputs)
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - a wrong setting or connection fails the task itself
        log.debug("No lineage: %s", type(error).__name__)
        return None


def _input(part: VerifiedDestination, limit: float) -> Any:
    from airflow.providers.common.compat.openlineage.facet import InputDataset  # noqa: PLC0415 - an extra

    namespace, name, facets = trait_dataset(part.segment_conn_id, part.trait or "")
    return InputDataset(namespace=namespace, name=name, facets=facets, inputFacets=_assertions(part, limit))


def _assertions(part: VerifiedDestination, limit: float) -> dict[str, Any]:
    if part.ratio is None:
        return {}
    try:
        from openlineage.client.generated.data_quality_assertions_dataset import (  # noqa: PLC0415 - an extra
            Assertion,
            DataQualityAssertionsDatasetFacet,
        )
    except ImportError:
        return {}
    assertion = Assertion(
        assertion=f"mismatch ratio at most {limit:g}", success=part.worst_ratio <= limit, column=f"traits.{part.trait}"
    )
    return {"dataQualityAssertions": DataQualityAssertionsDatasetFacet(assertions=[assertion])}
