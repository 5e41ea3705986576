"""The rules and the pipeline: no Airflow, no HTTP library, no file-system library.

Time, randomness, waiting and IDs are arguments. The packages, in the order of the data:

    cohort ─ export ─ membership ─ diff ─ plan ─ batches ─ acknowledged ─ commit

    sync            one sync, step by step: claims, export, membership, diff, guards, delivery, report
    retirement      the same for a cohort that is synced no more: false to everyone who is known
    session         what carries both: settings, run, ports, held claims, checkpoint, report
    ports           what a sync meets outside of core
    export/         cohort: the list of cohorts, and which cohort can be exported
                    exporter: when an export is requested, waited for, polled
                    responses, response_errors: what a response of Amplitude means, 429 among them
                    download: where the file is, and whether all of it came
                    run_checkpoint: which export a retry reuses
    membership/     export_reader, membership: from the file to distinct user IDs; anonymous users, duplicates
    plan/           trait: the trait key
                    diff: who entered, exited, changed; which rejected user is sent again
                    draft: the changes before anything is written; resume, or a new plan
                    guards: max_exit_ratio, on_empty_cohort, another task's trait
                    missing_state: Airflow remembers a sync that the ledger does not have
    delivery/       fan_out: several destinations in parallel
                    destination_sync: what is written before what at one destination: plan, claims, batches, commit
                    delivery: batches in flight, and the journal of what was acknowledged
                    sender: one batch: retries, and halving around a rejected message
                    response: what a response of Segment means, 429 and 400 among them
                    identify: the message and its ID; batches: the limits of a batch; rate_limiter: identifies a second
    ledger/         object_names: how everything in a state path is named
                    state_path_mark: what shows that a place, or an entry, is this package's
                    stream: a cohort at a destination; ledger_folder, ledger: reading and writing its folder
                    claim: the lease, its format and how long it lasts; held_claims: renewing and verifying it
                    entry: plan, journal and commit; position_ranges: the positions in a journal
                    state: the value last delivered, in doubt, rejections; pruning: what is kept, what is purged
                    ledger_clock: clocks that are ahead; store_response, store_fault, absence: what an object
                    store answers, and when an object is not there
    report/         report: the counts; summary: the last log lines; progress: the lines before; outcome: how it ends
    maintenance/    discovery: which ledgers there are; rollback; erasure, user_list: users to erase
    user_properties what is sent beside the trait
    engine/         database: DuckDB in bounded memory; engine_file: the only place where a path enters a query;
                    scratch: the worker's temporary folder
    disk_space      how much of it a sync needs
    http/           response_body: was it cut off; base_url; retry: how often and how long after; network_kind,
                    network_fault: why there was no response
    settings, clock the checked parameters; timestamps that only grow
    not_for_xcom    values that stay in the task that got them

Each package imports only from those below it in ``pyproject.toml``'s contract of import-linter.
"""
