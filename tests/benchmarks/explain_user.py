"""How long ``explain`` takes at 2,000,000 users: ``PYTHONPATH=. python tests/benchmarks/explain_user.py``.

The ledger is as large as it gets: each of the last five syncs was full, so each has changes of all users, and the list
of rejected users is read after each. It is in a folder on this machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

from airflow_provider_amplitude_segment.clients.ledger_store import LedgerStore
from airflow_provider_amplitude_segment.core.ledger.entry import Commit, Plan
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import mark_state_path
from airflow_provider_amplitude_segment.core.maintenance.discovery import find_streams_of_cohort
from airflow_provider_amplitude_segment.core.maintenance.explain import Question, explain_user

USERS = int(os.environ.get("USERS", "2000000"))
TRAIT = "Power Users (c1)"
AT = "2026-11-24T03:00:07.120Z"


def make_ledger(state: Path) -> None:
    """Write the ledger of five full syncs."""
    ledger = Ledger(LedgerStore(state), "1234/c1/dst-1")
    mark_state_path(LedgerStore(state))
    user_ids = f"SELECT sha256(i::VARCHAR)[:32] AS user_id FROM range({USERS}) numbers(i)"
    changes, snapshot = state / "changes", state / "snapshot"
    as_kept = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 40960)"
    duckdb.execute(
        f"COPY (SELECT '{TRAIT}' AS trait, user_id, true AS value FROM ({user_ids}) ORDER BY 2) "
        f"TO '{changes}' {as_kept}"
    )
    duckdb.execute(
        f"COPY (SELECT '{TRAIT}' AS trait, user_id, true AS delivered, user_id < '0001' AS in_doubt, "
        f"(user_id < '0001')::INTEGER AS rejections FROM ({user_ids})) TO '{snapshot}' {as_kept}"
    )
    for number in range(1, 6):
        stored = ledger.store_file(f"changes-{number}.parquet", changes)
        after = ledger.store_file(f"snapshot-{number}-{number}.parquet", snapshot)
        if number == 5:
            ledger.write_plan(
                Plan(
                    number,
                    "p",
                    "r",
                    "e",
                    "f",
                    "full",
                    TRAIT,
                    AT,
                    USERS,
                    {},
                    stored,
                    None,
                    "segment",
                    "dst-1",
                    "k",
                    "k",
                    run_label="run 5",
                )
            )
            ledger._write(f"acked-{number}-{number}.json", {"acked": [[0, USERS - 1]], "rejected": []})
        ledger.write_commit(
            Commit(
                number,
                number,
                "r",
                "e",
                TRAIT,
                AT,
                after,
                "k",
                "segment",
                "dst-1",
                {"mode": "full", "rejected": 1, "committed": True},
                number,
                run_label="run",
            )
        )


def main() -> None:
    """Print the seconds of the answer, and of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        state.mkdir()
        make_ledger(state)
        (user_id,) = duckdb.execute("SELECT sha256('1234567')[:32]").fetchone() or ("",)
        for name in (user_id, "a stranger"):
            scratch = Path(folder) / f"scratch-{len(name)}"
            scratch.mkdir()
            store = LedgerStore(state)
            begin = time.perf_counter()
            (story,) = explain_user(Question(store, scratch, name), find_streams_of_cohort(store, "c1"))
            print(f"answer: {time.perf_counter() - begin:.2f} s, {len(story.events)} events, {story.reasons}")
        begin = time.perf_counter()
        command = [sys.executable, "-m", "airflow_provider_amplitude_segment", "explain", "--cohort", "c1"]
        subprocess.run([*command, "--state-path", str(state)], input=user_id, text=True, check=True)  # noqa: S603
        print(f"the whole command: {time.perf_counter() - begin:.2f} s")


if __name__ == "__main__":
    main()
