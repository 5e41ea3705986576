"""A short part of the fault run: ``make faults`` plays hundreds."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from faults.play import play_history, play_seed
from faults.tally import Tally

SEEDS = range(1, 41)


def test_seeded_histories_end_with_segment_the_ledger_and_the_cohort_agreeing() -> None:
    total, wrong = Tally(), []
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        for _, tally, found in pool.map(play_seed, SEEDS):
            total.add(tally)
            wrong += [found] if found else []

    assert not wrong, "\n\n".join(wrong)
    assert total.histories == len(SEEDS)
    # Faults were met, not merely ordered.
    for kind in (
        "kill",
        "late batch",
        "rival kept out",
        "owner paused past its claim's expiry",
        "state path failed",
        "users lost behind a 200",
        "verification: kill",
        "verification paused",
        "write key proved",
        "Public API down",
        "wrong write key stopped a sync",
        "disabled source stopped a sync",
    ):
        assert total.survived[kind] > 0, kind
    assert total.verifications > 0
    assert total.healed > 0


@pytest.mark.parametrize("seed", [2, 7, 33, 40])
def test_the_same_seed_gives_the_same_history(seed: int) -> None:
    """The last two lose users, heal them, and stop syncs to a disabled source."""
    first, second = play_history(seed), play_history(seed)

    assert first.tally == second.tally
    assert [step.split(" -> ")[0] for step in first.log] == [step.split(" -> ")[0] for step in second.log]
