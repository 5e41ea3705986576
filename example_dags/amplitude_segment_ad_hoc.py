"""Sync an Amplitude cohort to Segment, now.

Press **Trigger** and fill in the form. You need no code.

1. **Cohort**: open the cohort in Amplitude, copy the address from the browser, and paste it. The cohort's ID is enough.
2. **Destinations**: the Segment sources that receive the cohort. One export from Amplitude serves them all.
3. **Mode**: *Only changes* sends the users who entered or exited since the last sync; the first sync sends all members.
   *Everyone again* also repeats what Segment has already; it needs more calls.
4. **Dry run**: try it first. It counts the users who would enter and exit, and sends nothing.

While the task runs, it has two links: **Cohort in Amplitude**, and **Debugger in Segment** to see the messages arrive.
At the end the log counts the users who were sent. In Segment each user has the trait `<cohort name> (<cohort ID>)`:
`true` for members, `false` for users who exited.

**When the task fails**, the end of the log says why, what was not sent, and what to do next. If the error names a
configuration like `{"max_exit_ratio": null}`, the sync was refused because it looked wrong. Check the cohort in
Amplitude. If it is right, trigger the DAG again with that value under **Advanced**.

With *Ask a person* under **Advanced**, Airflow 3.1 and later asks instead, and posts the question to the chat of the
connection `cohort_channel`.

**To change:** the cohorts and destinations that the form suggests, at the top of the file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param
from airflow.version import version

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# Suggestions; the form takes any other cohort too.
COHORTS = ["26umsb5", "9apg8e8f", "7khm89cz"]
# Segment connections, and their names in the form.
DESTINATIONS = {"segment_default": "Website (segment_default)", "segment_emea": "EMEA (segment_emea)"}

# An ID, or the address of the cohort's page, with or without a query or a fragment.
COHORT_OR_ADDRESS = r"^\s*(https://\S+/cohort/)?[\w-]+([/?#]\S*)?\s*$"

# Airflow 3.1 and later can ask a person.
CAN_ASK = tuple(map(int, version.split(".")[:2])) >= (3, 1)
ON_GUARD = {"fail": "Send nothing, and fail (fail)"}
if CAN_ASK:
    ON_GUARD["ask"] = "Ask a person in Airflow, and wait (ask)"

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
    dag_id="amplitude_segment_ad_hoc",
    dag_display_name="Amplitude cohort to Segment, ad hoc",
    doc_md=__doc__,
    # Airflow 3 takes only `schedule`, 2.11 also `schedule_interval`. None: the DAG runs only when triggered.
    schedule=None,
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 1, "retry_delay": timedelta(minutes=5)},
    tags=["amplitude", "segment"],
    params={
        "cohort_id": Param(
            default="26umsb5",
            type="string",
            minLength=1,
            maxLength=300,
            pattern=COHORT_OR_ADDRESS,
            examples=COHORTS,
            title="Cohort",
            description="The cohort's address in Amplitude, copied from the browser, or its ID (the last part of it).",
        ),
        "segment_conn_ids": Param(
            default=["segment_default"],
            type="array",
            items={"type": "string"},
            minItems=1,
            uniqueItems=True,
            examples=list(DESTINATIONS),
            values_display=DESTINATIONS,
            title="Destinations",
            description="The Segment sources that receive the cohort; one or more.",
        ),
        "sync_mode": Param(
            default="incremental",
            type="string",
            enum=["incremental", "full"],
            values_display={
                "incremental": "Only changes since the last sync (incremental)",
                "full": "Everyone again, with all former members (full)",
            },
            title="Mode",
            description="The first sync sends all members in both modes.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Only count the users who would enter and exit; nothing is sent. It spends an export.",
        ),
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may exit",
            description="0.5 is half of the members that Segment has. If more would exit, nothing is sent and the run "
            "fails. Empty: no limit.",
            section="Advanced",
        ),
        "on_empty_cohort": Param(
            default="fail",
            type="string",
            enum=["fail", "sync", "skip"],
            values_display={
                "fail": "Send nothing, and fail (fail)",
                "sync": "Send false for all known members (sync)",
                "skip": "Send nothing, and skip the task (skip)",
            },
            title="When the cohort is suddenly empty",
            section="Advanced",
        ),
        "on_guard": Param(
            default="fail",
            type="string",
            enum=list(ON_GUARD),
            values_display=ON_GUARD,
            title="When too many would exit, or the cohort is suddenly empty",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            values_display={"fail": "Send nothing, and fail (fail)", "full": "Send all members again (full)"},
            title="When the state is missing, or a write key changed",
            section="Advanced",
        ),
        "on_trait_change": Param(
            default="retire",
            type="string",
            enum=["retire", "keep", "take-over"],
            values_display={
                "retire": "Set the old trait to false (retire)",
                "keep": "Keep the old trait (keep)",
                "take-over": "Set the old trait to false, even if another task sends it (take-over)",
            },
            title="When the trait's name changed",
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
        "events_per_second": Param(
            1000,
            type=["null", "number"],
            minimum=1,
            title="Users sent a second",
            description="A Segment workspace accepts about 1,000. Empty: no limit.",
            section="Advanced",
        ),
    },
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        # The part of an address after /cohort/.
        cohort_id="{{ params.cohort_id.split('/cohort/')[-1].split('/')[0].split('?')[0].split('#')[0].strip() }}",
        segment_conn_id="{{ params.segment_conn_ids }}",
        sync_mode="{{ params.sync_mode }}",
        dry_run="{{ params.dry_run }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_guard="{{ params.on_guard }}",
        notifiers=post_to_channel,
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        min_exports_left="{{ params.min_exports_left }}",
        events_per_second="{{ params.events_per_second }}",
        # In production, put the ledger where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
