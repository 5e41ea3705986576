"""``Retry-After``: when a server says to come back."""

from __future__ import annotations

import math
import re
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{0,9})?")


def read_retry_after(value: str | None, *, now: float) -> float | None:
    """Return the seconds a ``Retry-After`` header asks to wait.

    Both forms are read, seconds and an HTTP date
    (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after). Nothing is capped here.

    Args:
        value: The header's value; ``None`` where there is none.
        now: Seconds since 1970-01-01 UTC, for the date's sake.

    Returns:
        Seconds from now, at least 0; ``None`` where nothing legible was given.

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
    try:
        moment = parsedate_to_datetime(text)
        # A date in "-0000" comes without a zone, and means UTC.
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
