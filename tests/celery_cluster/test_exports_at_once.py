"""What a pool does to Amplitude's limit of four exports at once, with deferred tasks counted and without."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from celery_cluster.many_cohorts import ManyCohorts

log = logging.getLogger(__name__)

COHORTS, MEMBERS = 12, 1_000
# An export takes longer than its delivery.
POLLS = 12
AT_ONCE = "parallel requests per minute"

pytestmark = pytest.mark.timeout(900)


def test_a_pool_that_counts_deferred_tasks_keeps_the_limit(cluster: ManyCohorts) -> None:
    cohorts = cluster.make("counted", COHORTS, members=MEMBERS, polls=POLLS)

    finished = cluster.run("many_cohorts")

    log.info("Deferred tasks counted: %s", finished)
    assert finished.state == "success"
    assert cluster.sandbox.amplitude.exports_refused == {}
    assert cluster.exports() == dict.fromkeys(cohorts, 1)
    assert all(cluster.sandbox.compare(cohort_id).equal for cohort_id in cohorts)


def test_a_pool_that_does_not_count_them_is_refused_exports_which_costs_time_alone(cluster: ManyCohorts) -> None:
    """The refused ones wait on their worker and ask again; no export is spent on it."""
    cohorts = cluster.make("uncounted", COHORTS, members=MEMBERS, polls=POLLS)

    finished = cluster.run("many_cohorts_deferred_uncounted")

    refused = cluster.sandbox.amplitude.exports_refused
    log.info("Deferred tasks not counted: %s, %s requests refused", finished, refused[AT_ONCE])
    assert finished.state == "success"
    assert refused[AT_ONCE] > 0
    assert cluster.exports() == dict.fromkeys(cohorts, 1)
    assert all(cluster.sandbox.compare(cohort_id).equal for cohort_id in cohorts)
