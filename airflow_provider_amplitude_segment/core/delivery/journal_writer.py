"""The journal of a delivery, written in a thread of its own, so that sending goes on meanwhile.

A write has all that was settled when it began. There is one at a time. The claims are verified before it, unless they
were within the last ``VERIFY_SECONDS``. A write that fails stops the senders at once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Journal
from airflow_provider_amplitude_segment.core.ledger.position_ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Executor, Future

    from airflow_provider_amplitude_segment.core.ledger.held_claims import ClaimMonitor
    from airflow_provider_amplitude_segment.core.ledger.rejection import Rejection


@dataclass(slots=True, kw_only=True, eq=False)
class JournalWriter:
    """Journals what Segment acknowledged and rejected. The thread that leads the delivery uses it.

    The senders' threads call ``add``, so that an error in the leading thread leaves nothing out of the journal.

    Attributes:
        write_journal: writes this claim's journal; called only after the claims were verified.
        monitor: verifies the claims.
        halt: ends all sending; set when the claim is lost or a write fails.
        unwritten_messages: acknowledged messages that are not yet in the journal; a kill would send them twice.
        writing: the write in progress, if any; an error of it is raised by the next call of ``settle``.
    """

    write_journal: Callable[[Journal], None]
    monitor: ClaimMonitor
    halt: threading.Event
    unwritten_messages: int = field(default=0, init=False)
    writing: Future[None] | None = field(default=None, init=False)
    _acked: list[tuple[int, int]] = field(default_factory=list, init=False)
    _rejected: dict[int, Rejection] = field(default_factory=dict, init=False)
    _additions: int = field(default=0, init=False)
    _written_additions: int = field(default=0, init=False)
    _in_write: tuple[int, int] = field(default=(0, 0), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def add(self, acked: Ranges, rejected: Iterable[Rejection]) -> None:
        """Add what was acknowledged and rejected, from any thread; it is unwritten until a later write has ended."""
        with self._lock:
            self._acked.extend(acked.pairs)
            self._rejected |= {rejection.position: rejection for rejection in rejected}
            self._additions += 1
            self.unwritten_messages += acked.count

    def journal(self) -> Journal:
        """Return the journal, with what is not yet written."""
        with self._lock:
            return self._merged()

    def start_if_due(self, thread: Executor) -> None:
        """Start to verify the claims and to write, where that is due and none is in progress."""
        if self.writing is None and self.monitor.is_due():
            self.start(thread)

    def start(self, thread: Executor) -> None:
        """Start to write what is unwritten, and to verify the claims first where that is due; one write at a time."""
        if self.writing is None:
            self.writing = thread.submit(self._write)

    def settle(self) -> None:
        """Count what a write that has ended has written.

        Raises:
            ClaimLostError: another run took over; nothing was written.
            StatePathError: the journal could not be written, or the claims not be listed; all of it is still unwritten.
        """
        if self.writing is None or not self.writing.done():
            return
        try:
            self.writing.result()
        finally:
            self.writing = None
        self._count_written()

    def finish(self) -> None:
        """Verify the claims, and write what is unwritten, in the caller's thread; raises what ``settle`` raises."""
        if self.writing is not None:
            self.writing.exception()
            self.settle()
        self.monitor.verify()
        self._write()
        self._count_written()

    def _merged(self) -> Journal:
        ranges = Ranges.of(self._acked)
        # The merged list does not grow with the number of users.
        self._acked = list(ranges.pairs)
        return Journal(ranges, dict(self._rejected))

    def _unwritten(self) -> Journal | None:
        """Return what the next write has, where that is more than the last one had."""
        with self._lock:
            self._in_write = (self._additions, self.unwritten_messages)
            return self._merged() if self._written_additions < self._additions else None

    def _count_written(self) -> None:
        with self._lock:
            self._written_additions, written_messages = self._in_write
            self.unwritten_messages -= written_messages

    def _write(self) -> None:
        try:
            if self.monitor.is_due():
                self.monitor.verify()
            journal = self._unwritten()
            if journal is not None:
                self.write_journal(journal)
        except BaseException:
            # The leading thread may be busy with the next batch, and a sender may wait to send.
            self.halt.set()
            raise
