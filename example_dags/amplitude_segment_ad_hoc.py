"""Send the people of an Amplitude cohort to Segment, now.

Press **Trigger** and fill in the form; no code is needed.

1. **Cohort**: open the cohort in Amplitude, copy the address from the browser, and paste it. Its ID alone will do.
2. **Destinations**: the Segment sources to tell. One export from Amplitude serves them all.
3. **Mode**: *Only who moved* tells Segment who entered and who left since the last time; the first time, that is
   everyone. *Everyone again* repeats what Segment should know already; it costs more calls.
4. **Dry run**: try it first. It says how many people would enter and leave, and sends nothing.

While it runs, the task has two buttons: **Cohort in Amplitude**, and **Debugger in Segment** to watch it arrive.
Afterwards its log says how many were told. In Segment, each person has the trait `<cohort name> (<cohort ID>)`: `true`
for who is in the cohort, `false` for who left.

**When it fails**, the end of the log says why, what was not sent, and what to do next. If it ends with a configuration
like `{"max_exit_ratio": null}`, the sync looked wrong and was stopped: look at the cohort, and if it is right, trigger
again with that under **Advanced**.

**To change:** the cohorts and destinations that the form suggests, at the top of the file.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

# Suggestions: any other cohort may be typed in.
COHORTS = ["26umsb5", "9apg8e8f", "7khm89cz"]
# Segment connections, and what the form calls them.
DESTINATIONS = {"segment_default": "Website (segment_default)", "segment_emea": "EMEA (segment_emea)"}

# An ID, or the address of the cohort's page, with or without what may stand behind it.
COHORT_OR_ADDRESS = r"^\s*(https://\S+/cohort/)?[\w-]+([/?#]\S*)?\s*$"

with DAG(
    dag_id="amplitude_segment_ad_hoc",
    dag_display_name="Amplitude cohort to Segment, ad hoc",
    doc_md=__doc__,
    # Airflow 3 calls `schedule_interval` `schedule`; 2.11 takes `schedule` too. None: only when triggered.
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
            description="The Segment sources to tell; one or more.",
        ),
        "sync_mode": Param(
            default="incremental",
            type="string",
            enum=["incremental", "full"],
            values_display={
                "incremental": "Only who moved since the last time (incremental)",
                "full": "Everyone again, and everyone who ever left (full)",
            },
            title="Mode",
            description="The first time, both tell everyone in the cohort.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Only count who would enter and leave; nothing is sent. It spends one of the month's exports.",
        ),
        "max_exit_ratio": Param(
            default=0.5,
            type=["null", "number"],
            minimum=0,
            maximum=1,
            title="Largest share that may leave",
            description="0.5 is half of those Segment knows. If more left, nothing is sent and the run fails. "
            "Empty: no limit.",
            section="Advanced",
        ),
        "on_empty_cohort": Param(
            default="fail",
            type="string",
            enum=["fail", "sync", "skip"],
            values_display={
                "fail": "Stop, and send nothing (fail)",
                "sync": "Tell Segment that everyone left (sync)",
                "skip": "Do nothing, and call it skipped (skip)",
            },
            title="When the cohort is suddenly empty",
            section="Advanced",
        ),
        "on_missing_state": Param(
            default="fail",
            type="string",
            enum=["fail", "full"],
            values_display={"fail": "Stop, and send nothing (fail)", "full": "Tell everyone anew (full)"},
            title="When the state was lost, or a write key changed",
            section="Advanced",
        ),
        "on_trait_change": Param(
            default="retire",
            type="string",
            enum=["retire", "keep", "take-over"],
            values_display={
                "retire": "Set the old trait to false (retire)",
                "keep": "Stay with the old trait (keep)",
                "take-over": "Set the old trait to false, although another task sends it (take-over)",
            },
            title="When the trait has another name",
            section="Advanced",
        ),
        "min_exports_left": Param(
            default=0,
            type="integer",
            minimum=0,
            title="Exports that must be left",
            description="Fewer left this month in Amplitude: nothing is exported and the run fails.",
            section="Advanced",
        ),
        "events_per_second": Param(
            1000,
            type=["null", "number"],
            minimum=1,
            title="People told a second",
            description="A Segment workspace takes about 1,000. Empty: no limit.",
            section="Advanced",
        ),
    },
) as dag:
    AmplitudeCohortToSegmentOperator(
        task_id="sync_cohort",
        # Of an address, the part behind /cohort/.
        cohort_id="{{ params.cohort_id.split('/cohort/')[-1].split('/')[0].split('?')[0].split('#')[0].strip() }}",
        segment_conn_id="{{ params.segment_conn_ids }}",
        sync_mode="{{ params.sync_mode }}",
        dry_run="{{ params.dry_run }}",
        max_exit_ratio="{{ params.max_exit_ratio }}",
        on_empty_cohort="{{ params.on_empty_cohort }}",
        on_missing_state="{{ params.on_missing_state }}",
        on_trait_change="{{ params.on_trait_change }}",
        min_exports_left="{{ params.min_exports_left }}",
        events_per_second="{{ params.events_per_second }}",
        # In production, keep the state where every worker reaches it: set [amplitude_segment] state_path,
        # or here state_path="s3://aws_default@my-bucket/amplitude-segment".
    )
