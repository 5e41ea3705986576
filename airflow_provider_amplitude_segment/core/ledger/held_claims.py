"""The claims that a run holds: renewed while it works, verified before it writes, released at its end."""

from __future__ import annotations

import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Self

from airflow_provider_amplitude_segment.core.ledger.claim import (
    CLAIM_SECONDS,
    claim_lost,
    defer_claim,
    release_claim,
    renew_claim,
    take_claims,
    verify_claims,
)
from airflow_provider_amplitude_segment.exceptions import ClaimLostError, StatePathError, StateUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store, Stream


_RENEW_SECONDS = CLAIM_SECONDS / 5


class HeldClaims:
    """The claims of one run, from claiming to releasing; a context manager.

    A thread renews the claims while the body runs. On leaving, the claims still held are released. A failed renewal is
    retried at the next interval. A claim that is not renewed expires, and another run may take over; because the body
    verifies its claims before it sends, it then stops.

    Attributes:
        run: the run that holds them.
    """

    def __init__(
        self,
        store: Store,
        streams: Sequence[Stream],
        run: Run,
        clock: Clock,
        *,
        above: Mapping[Stream, int] = MappingProxyType({}),
    ) -> None:
        """Claim all streams or none, each under a generation higher than its number in ``above``.

        Raises:
            ClaimHeldError: another run holds one of them.
        """
        self._store = store
        self._clock = clock
        self.run = run
        self._held = take_claims(store, streams, run, clock, above)
        self._generations = {stream: claim.generation for stream, claim in self._held.items()}
        # Locked while a claim is written, so that no renewal follows a release.
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="claim-renewal", daemon=True)

    def __enter__(self) -> Self:
        """Start to renew the claims."""
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop renewing, and release the claims still held; a claim that cannot be released expires."""
        self._done.set()
        self._renewal.join()
        for stream in tuple(self._held):
            try:
                self.release(stream)
            except StatePathError:
                continue

    def generation(self, stream: Stream) -> int:
        """Return the generation of a stream's claim, also after it was released or lost."""
        return self._generations[stream]

    def holds(self, stream: Stream) -> bool:
        """Return whether the claim is neither released nor known to be lost."""
        return stream in self._held

    def verify(self, stream: Stream) -> None:
        """List a stream's claims, and raise unless this run's is the highest; a lost claim is not written again.

        Raises:
            ClaimLostError: another run took over the stream.
        """
        claim = self._held.get(stream)
        if claim is None:
            raise claim_lost(self._store, stream.folder, self._generations[stream])
        try:
            verify_claims(self._store, stream, claim)
        except ClaimLostError:
            with self._writing:
                self._held.pop(stream, None)
            raise

    def verify_all(self) -> None:
        """Verify the claims of all streams, before the run's checkpoint is written, which all of them share.

        Raises:
            ClaimLostError: another run took over a stream.
        """
        for stream in self._generations:
            self.verify(stream)

    def release(self, stream: Stream) -> None:
        """Release a stream's claim; does nothing where it is not held."""
        with self._writing:
            claim = self._held.pop(stream, None)
            if claim is not None:
                release_claim(self._store, stream, claim)

    def extend_for_deferral(self, seconds: float) -> dict[str, int]:
        """Extend the claims to ``seconds`` and stop renewing, because this process ends and a later one claims again.

        Returns:
            The generation of each claim, by ledger folder.
        """
        self._done.set()
        self._renewal.join()
        with self._writing:
            for stream, claim in self._held.items():
                defer_claim(self._store, stream, claim, self._clock.now(), seconds)
            kept = {stream.folder: claim.generation for stream, claim in self._held.items()}
            self._held.clear()
        return kept

    def _renew(self) -> None:
        while not self._clock.wait(_RENEW_SECONDS, self._done):
            for stream in tuple(self._held):
                with self._writing:
                    claim = self._held.get(stream)
                    if claim is None:
                        continue
                    try:
                        renew_claim(self._store, stream, claim, self._clock.now())
                    except StatePathError:
                        continue


VERIFY_SECONDS = 0.5
"""How often the claims are verified while sending."""

_FRESH_SECONDS = 1.0
_SLOWEST_LISTING_SECONDS = 30.0
_RECHECK_SECONDS = 0.02


class ClaimMonitor:
    """Keeps the time of the last verification of a claim: one thread verifies, the senders wait for it.

    A verification is fresh for one second, and for twice the time more that the listing took. A store that takes longer
    than half a second to list is listed without a pause. Both times are far below the life of a claim, after which
    another run may take over.
    """

    def __init__(self, verify_claim: Callable[[], None], clock: Clock) -> None:
        """Take ``verify_claim``, which raises where the claim is lost."""
        self._verify_claim = verify_claim
        self._clock = clock
        self._verified_at = (float("-inf"), float("-inf"))
        self._fresh_seconds = _FRESH_SECONDS

    def verify(self) -> None:
        """Verify the claim now; an error ends the delivery.

        Raises:
            StateUnavailableError: the store lists the claims too slowly to see another run in time.
        """
        # The time before the listing, because a listing that is paused returns the claims of its start.
        began = (self._clock.monotonic(), self._clock.now())
        self._verify_claim()
        took = self._clock.monotonic() - began[0]
        if took > _SLOWEST_LISTING_SECONDS:
            raise StateUnavailableError("(claims)", f"it took {took:.0f} s to list the claims")
        self._fresh_seconds = _FRESH_SECONDS + 2 * took
        self._verified_at = began

    def is_due(self) -> bool:
        """Return whether the last verification is ``VERIFY_SECONDS`` old."""
        return self._clock.monotonic() - self._verified_at[0] >= VERIFY_SECONDS

    def wait_until_verified(self, halt: threading.Event) -> bool:
        """Wait until the last verification is fresh; return ``False`` where ``halt`` is set first."""
        while not self._is_fresh():
            if self._clock.wait(_RECHECK_SECONDS, halt):
                return False
        return not halt.is_set()

    def _is_fresh(self) -> bool:
        # Both clocks, because the monotonic one stands still while the machine is suspended and the other may be set.
        monotonic, wall = self._verified_at
        return (
            self._clock.monotonic() - monotonic < self._fresh_seconds
            and abs(self._clock.now() - wall) < self._fresh_seconds
        )
