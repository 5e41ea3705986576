"""How the Public API is asked again: long where a task can wait, shortly where a sync or a person waits."""

from __future__ import annotations

from airflow_provider_amplitude_segment.core.http.retry import RetryPolicy

RETRIES = RetryPolicy(retries=4, base_seconds=1.0, cap_seconds=30.0, total_seconds=300.0)
"""For a task whose work is to ask. Segment's rate limits are of a minute."""

FEW_RETRIES = RetryPolicy(retries=1, base_seconds=0.5, cap_seconds=5.0, total_seconds=10.0)
"""For a check on the way to something else: no request is silent for longer than ``total_seconds`` either."""

NO_RETRIES = RetryPolicy(retries=0, total_seconds=20.0)
"""For a form, because a person waits for it."""

LONGEST_ASKED_WAIT_SECONDS = 60.0
"""A longer ``Retry-After`` is cut to this."""
