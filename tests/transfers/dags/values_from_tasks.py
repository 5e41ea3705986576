"""Parameters that are outputs of tasks, as text and as Python's objects; and tasks that return what cannot be read."""

import decimal
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_amplitude_segment.core.report.report import SyncReport
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.operators.retire_trait import AmplitudeCohortTraitRetireOperator
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

START = pendulum.datetime(2024, 1, 1, tz="UTC")


@task
def give(value: Any) -> Any:
    return value


@task
def give_decimal() -> decimal.Decimal:
    return decimal.Decimal(500)


@task
def map_cohorts() -> list[dict[str, Any]]:
    return AmplitudeHook().map_cohorts(name="")


@task
def give_set() -> set[str]:
    return {"segment_default", "segment_emea"}


def sync(task_id: str, **parameters: Any) -> AmplitudeCohortToSegmentOperator:
    return AmplitudeCohortToSegmentOperator(task_id=task_id, **{"cohort_id": "c1", "poll_interval": 0.1, **parameters})


def use_outputs() -> None:
    """One sync with every kind of output, one of each cohort that a task names or maps, and a retirement."""
    connections = give.override(task_id="connections").expand(value=["segment_default", "segment_emea"])
    names = give.override(task_id="names").expand(value=["plan", "town"])
    everything = sync(
        "everything",
        cohort_id=give.override(task_id="number")(1234567),
        segment_conn_id=[connections, "segment_default"],
        user_properties=names,
        segment_context={"towns": names},
        integrations={"All": give.override(task_id="flag")(value=True)},
        events_per_second=give_decimal(),
        dry_run=give.override(task_id="dry")(value=False),
    )
    mapped = AmplitudeCohortToSegmentOperator.partial(
        task_id="mapped", poll_interval=0.1, segment_conn_id=connections, user_properties={"town", "plan"}
    ).expand(cohort_id=give.override(task_id="cohorts")(["c1", 1234567]))
    retirement = AmplitudeCohortTraitRetireOperator(task_id="retirement", cohort_id="c1", segment_conn_id=give_set())
    AmplitudeCohortToSegmentOperator.partial(
        task_id="labelled",
        poll_interval=0.1,
        map_index_template="{{ params.cohort_label }}",
        segment_conn_id=connections,
        trait_name="blank",
    ).expand_kwargs(map_cohorts())
    everything >> mapped >> retirement


with DAG("values_from_tasks", schedule=None, start_date=START):
    use_outputs()

with DAG("values_as_objects", schedule=None, start_date=START, render_template_as_native_obj=True):
    use_outputs()
    sync("iterator", segment_conn_id="{{ ['segment_default', 'segment_emea'] | map('trim') }}")
    sync("keys", segment_conn_id="{{ {'segment_default': 1, 'segment_emea': 2}.keys() }}")

with DAG("values_that_cannot_be_read", schedule=None, start_date=START):
    task(lambda: AmplitudeHook().list_cohorts(), task_id="cohorts")()
    task(lambda: SegmentHook().describe(), task_id="destination")()
    task(lambda: [SyncReport("c1")], task_id="report")()
    task(lambda: AmplitudeHook().get_conn().usage(), task_id="usage")()
    task(lambda: AmplitudeHook().get_conn().request_export("c1"), task_id="export")()
