"""The rules and the pipeline: no Airflow, no HTTP library, no file-system library.

Time, randomness, waiting and IDs are arguments. A sync's data passes these stages, and the table has them in order:

    cohort ─ export ─ membership ─ diff ─ plan ─ batches ─ acknowledged (journal) ─ commit

    sync            one sync, step by step: prove the write keys, take the claims, export, membership, diff, guards,
                    delivery, report
    retirement      the same for a cohort that is synced no more: false for every user in the state
    guard_check     the guards over all destinations: let through, skip, refuse, or ask a person
    verification/   verification, destination_check: what Segment has of a cohort, beside the ledger
                    committed_state, sample: what the ledger says, and the users to ask for
                    profile_check, profile_requests, request_pacer: ask for them, at most 50 requests a second
                    verdict, mismatch_bound: how one user compares, and what that says of all; count_check: the source
                    healing: users in doubt, so that the next sync sends them; verify_report, verify_summary
    session         what both carry: settings, run, ports, held claims, checkpoint, report
    ports           Amplitude, and delivery.ports: Segment, the ledger's store, clock, randomness
    export/         cohort: the list of cohorts, and which cohort can be exported
                    cohort_change: what changed between two looks at the list
                    exporter: when an export is requested, waited for, polled
                    responses: what a response of Amplitude means; response_errors: which statuses are errors, 429
                    among them
                    download: where the file is, and whether all of it came
                    run_checkpoint: which export a retry reuses; approval: what a person let through a guard
                    cohort_files, file_set_choice, file_set_source: Amplitude's files in a bucket, and which set of them
                    passed_over: sets that look newer than the chosen one
    membership/     export_reader, csv_file, membership: from the file to distinct user IDs; anonymous users
                    file_set_columns, file_set_reader: the same from a set of cohort files
    segment_api/    workspace, identify_counts, profile: what Segment's APIs say; access, ports: the way to them
                    source_check: whether a workspace's list of sources proves a write key
    proof/          write_keys: prove the keys of a sync; kept_source: what the DAG run keeps of it
    plan/           trait: the trait key
                    events: which changes carry an event for a journey
                    diff: who entered, exited, changed; which rejected user is sent again
                    draft: a diff before its plan is written, or an unfinished plan to resume
                    planned_list: its changes as a list for people
                    guards: max_exit_ratio, on_empty_cohort, on_trait_change between two tasks
                    approved: what an approval lets through
                    settled: destinations that have synced a set before
                    missing_state: Airflow recorded a sync that the ledger does not have
    delivery/       fan_out: several destinations in parallel, each in its thread; busy: wait for the last thread
                    destination_sync: what is written before what at one destination: plan, verify the claim, send and
                    journal, verify, commit
                    delivery: the batches in flight; journal_writer: the journal's thread, and when it is written
                    sender: one batch: its retries, and halving it around a rejected message
                    response: what a response of Segment means, 429 and 400 among them
                    oauth_assertion, token_response, access_token: OAuth, where a source demands it
                    identify: the message and its ID; batches: the limits of a batch in bytes and messages
                    track: the event of an entry or exit; event_delivery: when it is sent, at most or at least once
                    rate_limiter: identifies a second
    ledger/         stream: a cohort at one destination, to which one ledger belongs; ledger_folder, ledger: its folder
                    object_names: how every object of a state path is named; entry_order: which entry is the newest
                    claim: the lease on a stream, its format and how long it lasts; held_claims: renew and verify it
                    entry: plan, journal and commit; position_ranges: which rows of a plan a journal names
                    event_columns: which events are sent, in doubt and owed; owed_events: what a plan leaves owed
                    rejection: of one message
                    state: the value last delivered, in doubt, rejections; pruning: what is kept, what is purged
                    state_path_mark: what shows that an object, or a state path, is this package's
                    ledger_clock: workers whose clocks differ
                    store_response: what an object store responded; store_fault: which of its faults are retried;
                    absence: whether an object is absent
    report/         report: the counts; progress, summary: the log lines; outcome: how a sync ends
                    saved_report: a report as the ledger keeps it; saved_answer: how its question ended
                    question, question_text, answer: what a guard asks a person, and how the answer is read
    maintenance/    discovery: which ledgers there are; rollback; erasure, user_list: users to erase; marked_copies
                    explain: why a user was, or was not, sent; kept_entries: what the ledger keeps of its past
                    user_rows, user_events, user_story: one user's rows, what plans did with them, and the answer
                    hidden_reason: a reason that may quote the user ID
                    history: the syncs and their counts
    user_properties what is sent beside the trait
    engine/         database: DuckDB in bounded memory; engine_file: the only place where a path enters a query
                    text_rows: a column of text, many rows in one buffer; scratch: the worker's temporary folder
    disk_space      how much of it a sync needs
    http/           retry: how often and how long after, for both vendors; response_body: was it cut off
                    network_kind, network_fault: why there was no response; base_url: the host of a connection
    settings, clock the checked parameters; timestamps that only grow
    not_for_xcom    values that a task must not return

The table is in the order of the data. ``pyproject.toml`` has the order of imports, as a contract of import-linter.
"""
