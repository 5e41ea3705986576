"""What the sink counted: identifies as they arrived, by write key and time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

MESSAGE_TYPE = b'"identify"'
"""Stands once in a message, with and without white space around it; counted, so that what was lost is seen."""


@dataclass
class Tally:
    """Counts of one measurement.

    Attributes:
        arrivals: for each request, when its last byte was there (monotonic seconds), for which key, and how many.
        wire_bytes: of all bodies, as they were on the wire.
    """

    arrivals: list[tuple[float, str, int]] = field(default_factory=list)
    wire_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, key: str, moment: float, identifies: int, wire_bytes: int) -> None:
        with self.lock:
            self.arrivals.append((moment, key, identifies))
            self.wire_bytes += wire_bytes

    def figures(self) -> dict[str, object]:
        with self.lock:
            return {
                "identifies": sum(count for _, _, count in self.arrivals),
                "requests": len(self.arrivals),
                "wire_bytes": self.wire_bytes,
                "arrivals": self.arrivals,
            }
