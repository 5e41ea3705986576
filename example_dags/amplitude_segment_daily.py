"""Sync an Amplitude cohort to Segment every day.

The first run sends all members, each later one only the users who entered or exited.

**To change:** `cohort_id` (the last part of the cohort's URL in Amplitude) and the schedule.

**When a run was refused** because too many users would exit: check the cohort in Amplitude. If it is right, trigger the
DAG with the configuration that the error names. With `on_guard` set to `ask`, Airflow 3.1 and later asks a person
instead, and `post_to_channel` posts the question to the chat of the connection `cohort_channel`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param
from airflow.version import version

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# Airflow 3.1 and later can ask a person.
CAN_ASK = tuple(map(int, version.split(".")[:2])) >= (3, 1)

# An HTTP connection to an incoming webhook of a chat: its address in Host, and the webhook's path in Password.
CHANNEL_CONN_ID = "cohort_channel"


def post_to_channel(context: dict[str, Any]) -> None:
    """Post a guard's question to an incoming webhook of your team's chat."""
    from airflow.providers.http.hooks.http import HttpHook  # noqa: PLC0415 - not while the DAG is parsed

    question = context["question"]
    text = f"{question['subject']}\nQuestion {question['code']}: {question['where']}"
    hook = HttpHook(method="POST", http_conn_id=CHANNEL_CONN_ID)
    # The webhook's path is its secret, so it is the password of the connection.
    path = hook.get_connection(CHANNEL_CONN_ID).password
    hook.run(path, json={"text": text}, extra_options={"timeout": 10})


with DAG(
    dag_id="amplitude_segment_daily",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`.
    schedule="@daily",
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    # No past runs and no two runs at once, because an export has the membership of now.
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "sync_mode": Param(
            default="incremental",
            type="string",
            enum=["incremental", "full"],
            title="Mode",
            description="incremental: only changes. full: all members and all former members.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Only count; nothing is sent. It spends an export.",
        ),
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may exit",
            description="If a larger share would exit, nothing is sent and the run fails. Empty: no limit.",
            section="Advanced",
        ),
        "on_empty_cohort": Param(
            default="fail",
            type="string",
            enum=["fail", "sync", "skip"],
            title="When the cohort is suddenly empty",
            description="fail, sync (send false for all known members), or skip the run.",
            section="Advanced",
        ),
        "on_guard": Param(
            default="fail",
            type="string",
            enum=["fail", "ask"] if CAN_ASK else ["fail"],
            title="When too many would exit, or the cohort is suddenly empty",
            description="fail, or ask a person in Airflow and wait without a worker slot.",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            title="When the state is missing, or a write key changed",
            description="fail, or full: send all members again.",
            section="Advanced",
        ),
        "on_trait_change": Param(
            default="retire",
            type="string",
            enum=["retire", "keep", "take-over"],
            title="When the trait's name changed",
            description="retire the old trait, keep it, or take-over: retire it even if another task sends it.",
            section="Advanced",
        ),
        "min_exports_left": Param(
            default=0,
            type="integer",
            minimum=0,
            title="Exports that must be left",
            description="If Amplitude reports fewer for this month, nothing is exported and the run fails.",
            section="Advanced",
        ),
    },
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        cohort_id="26umsb5",
        sync_mode="{{ params.sync_mode }}",
        dry_run="{{ params.dry_run }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_guard="{{ params.on_guard }}",
        notifiers=post_to_channel,
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        min_exports_left="{{ params.min_exports_left }}",
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
