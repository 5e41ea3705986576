"""How often a request is retried, and how long to wait before each retry."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom

# 2.0 ** 60 is far over any cap and far under what a float overflows at.
_HIGHEST_POWER = 60


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one request is retried, as in Segment's newest libraries.

    Sources: analytics-next ``packages/node`` (publisher.ts, tests T01-T22), analytics-python 2.4.0
    (consumer.py), which agree on the first five numbers; they differ on the total.

    Attributes:
        retries: tries after the first one. A wait that ``Retry-After`` asks for spends none.
        base_seconds: wait before the first retry.
        factor: each wait is this many times the one before.
        cap_seconds: no wait is longer, but for the jitter.
        jitter: share by which a wait may be shorter or longer, so that workers do not retry at the same moment.
        total_seconds: after these no retry begins, even if ``Retry-After`` asked for the waits.
    """

    retries: int = 10
    base_seconds: float = 0.5
    factor: float = 2.0
    cap_seconds: float = 60.0
    jitter: float = 0.1
    total_seconds: float = 3600.0

    def back_off_seconds(self, retry: int, random: float) -> float:
        """Return the seconds to wait before a retry.

        Args:
            retry: Number of the retry, from 1.
            random: A number in [0, 1); 0.5 is no jitter.

        >>> policy = RetryPolicy()
        >>> [policy.back_off_seconds(retry, 0.5) for retry in (1, 2, 3, 7, 8, 10_000)]
        [0.5, 1.0, 2.0, 32.0, 60.0, 60.0]
        >>> policy.back_off_seconds(2, 0.0)
        0.9
        """
        power = min(max(retry, 1) - 1, _HIGHEST_POWER)
        wait = min(self.cap_seconds, self.base_seconds * self.factor**power)
        return wait * (1 + self.jitter * (2 * random - 1))


@dataclass(frozen=True, slots=True)
class RetryLater(NotForXCom):
    """A transient response, or none: the same request may be sent again.

    Attributes:
        status: HTTP status code; ``None`` where no whole response came.
        after_seconds: what ``Retry-After`` asks for; ``None`` where it is missing or not legible.
        reason: what the server says, or why no whole response came; empty where the status says it.
        advice: what to do if no response comes on any retry; empty where one came.
        is_posted: whether the request was sent; without an access token, no batch is.
    """

    status: int | None
    after_seconds: float | None = None
    reason: str = ""
    advice: str = field(default="", compare=False, repr=False)
    is_posted: bool = field(default=True, compare=False, repr=False)

    @property
    def said(self) -> str:
        """The status, or why there is none, for a log line."""
        return f"HTTP {self.status}" if self.status else f"no response{f' ({self.reason})' if self.reason else ''}"


_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{0,9})?")


def read_retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait.

    Both forms are read, seconds and an HTTP date
    (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Nothing is capped here.

    Args:
        value: The header's value; ``None`` where there is none.
        now: Seconds since 1970-01-01 UTC, which a date is compared with.

    Returns:
        Seconds from now, at least 0; ``None`` where the header is missing or not legible.

    >>> read_retry_after("7", now=0)
    7.0
    >>> read_retry_after("Thu, 01 Jan 1970 00:01:40 GMT", now=40)
    60.0
    >>> read_retry_after("Thu, 01 Jan 1970 00:01:40 GMT", now=1_000_000)
    0.0
    >>> read_retry_after("soon", now=0) is None
    True
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    moment = read_http_date(text)
    return None if moment is None else max(0.0, moment - now)


def read_http_date(value: str | None) -> float | None:
    """Return the seconds since 1970-01-01 UTC of an HTTP date; ``None`` where there is none or it is not legible.

    https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7

    >>> read_http_date("Thu, 01 Jan 1970 00:01:40 GMT")
    100.0
    >>> read_http_date("100") is None
    True
    """
    try:
        moment = parsedate_to_datetime((value or "").strip())
        # A date with "-0000" comes without a zone and means UTC.
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None
