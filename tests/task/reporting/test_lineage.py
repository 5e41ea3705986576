"""Lineage as OpenLineage's own extractor asks for it; it never stands in a task's way."""

import subprocess
import sys
from pathlib import Path

import pytest
from airflow.providers.openlineage.extractors.base import DefaultExtractor
from fakes.task_instance import FakeTaskInstance

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.sandbox import Fault, Sandbox
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

PACKAGE = Path(airflow_provider_amplitude_segment.__file__).parent


def operator(tmp_path: Path, **parameters: object) -> AmplitudeCohortToSegmentOperator:
    return AmplitudeCohortToSegmentOperator(
        **{"task_id": "sync", "cohort_id": "c1", "state_path": str(tmp_path), "poll_interval": 0.05, **parameters}
    )


def test_each_destination_is_an_output_with_what_it_acknowledged(
    sandbox: Sandbox, ti: FakeTaskInstance, tmp_path: Path
) -> None:
    task = operator(tmp_path, segment_conn_id=["segment_default", "segment_emea"])
    task.execute({"ti": ti})

    lineage = DefaultExtractor(task).extract_on_complete(ti)

    assert lineage is not None
    assert [output.outputFacets["outputStatistics"].rowCount for output in lineage.outputs] == [2, 2]
    # The sandbox's connections name no workspace: then the destination is called as it is in the state.
    assert all(output.name.startswith("dst-") for output in lineage.outputs)
    assert len({output.name for output in lineage.outputs}) == 2
    assert {output.namespace for output in lineage.outputs} == {f"segment://{sandbox.url.removeprefix('http://')}"}


def test_one_destination_that_failed_is_the_runs_error(sandbox: Sandbox, ti: FakeTaskInstance, tmp_path: Path) -> None:
    task = operator(tmp_path)
    sandbox.faults.add(Fault(on="segment.batch", status=501))
    with pytest.raises(Exception, match="501"):
        task.execute({"ti": ti})

    lineage = DefaultExtractor(task).extract_on_failure(ti)

    assert lineage is not None
    assert lineage.run_facets["errorMessage"].message.startswith("segment_default: ")
    assert lineage.outputs[0].facets["documentation"].description.startswith("Not finished: ")


def test_a_dry_run_has_no_output(sandbox: Sandbox, ti: FakeTaskInstance, tmp_path: Path) -> None:
    task = operator(tmp_path, dry_run=True)
    task.execute({"ti": ti})

    lineage = DefaultExtractor(task).extract_on_complete(ti)

    assert sandbox.segment.batches == []
    assert lineage is not None
    assert (len(lineage.inputs), lineage.outputs) == (1, [])


def test_a_task_that_never_began_has_only_its_input(sandbox: Sandbox, ti: FakeTaskInstance, tmp_path: Path) -> None:
    lineage = DefaultExtractor(operator(tmp_path)).extract_on_failure(ti)

    assert lineage is not None
    assert lineage.inputs[0].namespace == f"amplitude://{sandbox.url.removeprefix('http://')}"
    assert (lineage.outputs, lineage.run_facets) == ([], {})


@pytest.mark.parametrize("parameters", [{"cohort_id": 1.5}, {"amplitude_conn_id": "there_is_none"}])
def test_a_wrong_setting_is_no_lineage_and_no_error(
    parameters: dict[str, object], ti: FakeTaskInstance, tmp_path: Path
) -> None:
    task = operator(tmp_path, **parameters)

    assert task.get_openlineage_facets_on_start() is None
    assert task.get_openlineage_facets_on_complete(ti) is None
    assert task.get_openlineage_facets_on_failure(ti) is None


def test_without_openlineages_provider_there_is_no_lineage() -> None:
    program = (
        "import sys; sys.modules['airflow.providers.openlineage.extractors'] = None;"
        "from airflow_provider_amplitude_segment.task.reporting.lineage import LineageMixin;"
        "operator = LineageMixin(); operator.cohort_id, operator.amplitude_conn_id = 'c1', 'amplitude_default';"
        "sys.exit(operator.get_openlineage_facets_on_complete(None) is not None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)  # noqa: S603 - our own program
