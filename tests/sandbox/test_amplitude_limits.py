"""The stand-in Amplitude runs out of exports as its documents say, and bounds what it keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.sandbox import Sandbox


def test_the_month_has_a_limit(sandbox: Sandbox, amplitude: Any, clock: Any) -> None:
    """Past the month's exports a request gets a 429, usage shows the limit, the next month begins at zero."""
    clock.now = datetime(2026, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    sandbox.amplitude.used_this_month = 499
    assert amplitude.request().status_code == 202

    refused = amplitude.request()
    assert refused.status_code == 429
    assert refused.json()["error"]["metadata"] == {"limit": 500, "used": 500, "name": "requests per month"}
    usage = amplitude.get("/api/3/cohorts/usage").json()["rest_download"]
    assert usage == {"limit": 500, "usage": 500, "resets_at": "2027-01-01T00:00:00Z"}

    clock.pass_by(61)
    assert amplitude.request().status_code == 202
    assert sandbox.amplitude.used_this_month == 1


def test_ten_minutes_have_a_limit(sandbox: Sandbox, amplitude: Any, clock: Any) -> None:
    """The 61st request within ten minutes answers 429; later there is room. Refused ones do not count."""
    sandbox.amplitude.cohorts["26umsb5"].ready_after_polls = 0
    assert {amplitude.request().status_code for _ in range(60)} == {202}
    assert amplitude.request().status_code == 429
    assert sandbox.amplitude.exports_spent == 60

    clock.pass_by(600)
    assert amplitude.request().status_code == 202


def test_a_minute_has_a_limit_of_parallel_exports(sandbox: Sandbox, amplitude: Any, clock: Any) -> None:
    """A fifth export beside four incomplete ones answers 429, until one completes or a minute is over."""
    first = amplitude.request().json()["request_id"]
    assert {amplitude.request().status_code for _ in range(3)} == {202}
    assert amplitude.request().status_code == 429

    amplitude.status(first)  # its last 202: the next poll finds it complete
    assert amplitude.request().status_code == 202
    assert amplitude.request().status_code == 429
    assert sandbox.amplitude.exports_refused == {"parallel requests per minute": 2}
    clock.pass_by(60)
    assert amplitude.request().status_code == 202
    sandbox.amplitude.parallel_per_minute = None
    assert {amplitude.request().status_code for _ in range(6)} == {202}


def test_usage_has_the_shape_a_test_wants(sandbox: Sandbox, amplitude: Any) -> None:
    """Usage may be nested, flat, or not there at all."""
    sandbox.amplitude.usage_shape = "flat"
    assert amplitude.get("/api/3/cohorts/usage").json() == {"limit": 500, "count": 0}
    sandbox.amplitude.usage_shape = "missing"
    assert amplitude.get("/api/3/cohorts/usage").status_code == 404


def test_only_so_many_exports_are_kept(sandbox: Sandbox, amplitude: Any) -> None:
    """Two hundred exports are kept, the oldest are forgotten: memory stays bounded."""
    sandbox.amplitude.requests_per_ten_minutes = sandbox.amplitude.parallel_per_minute = None
    first = amplitude.request().json()["request_id"]
    last = [amplitude.request().json()["request_id"] for _ in range(200)]

    assert amplitude.status(first).status_code == 404
    assert amplitude.status(last[0]).status_code == 202
