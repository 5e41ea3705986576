"""The time a run holds its claims: renewed while it is at work, looked at before it writes, given back at its end."""

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
    """The claims of one run, from taking them to giving them back.

    A context manager: a thread renews the claims whatever the body is doing, and on leaving, those still held are
    released. A renewal that fails is tried again at the next turn; if none succeeds the claim expires by itself, and
    verifying the claims keeps the body from sending then.

    ``run`` is the run that holds them.
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
        """Claim all streams or none, each under a generation higher than ``above`` says.

        Raises:
            ClaimHeldError: another run holds one of them.
        """
        self._store = store
        self._clock = clock
        self.run = run
        self._held = take_claims(store, streams, run, clock, above)
        self._generations = {stream: claim.generation for stream, claim in self._held.items()}
        # Held while a claim is written, so that no renewal follows a release.
        self._writing = threading.Lock()
        self._done = threading.Event()
        self._renewal = threading.Thread(target=self._renew, name="claim-renewal", daemon=True)

    def __enter__(self) -> Self:
        """Begin to renew."""
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the renewal, and release what is still held; a claim that cannot be released expires."""
        self._done.set()
        self._renewal.join()
        for stream in tuple(self._held):
            try:
                self.release(stream)
            except StatePathError:
                continue

    def generation(self, stream: Stream) -> int:
        """Return the generation under which the stream is, or was, held."""
        return self._generations[stream]

    def holds(self, stream: Stream) -> bool:
        """Tell whether the claim was neither released nor seen to be lost."""
        return stream in self._held

    def verify(self, stream: Stream) -> None:
        """See whether the stream was taken over; from then on its claim is not written any more.

        Raises:
            ClaimLostError: it was.
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
        """See whether any stream was taken over: before what all share, the run's record, is written.

        Raises:
            ClaimLostError: one was.
        """
        for stream in self._generations:
            self.verify(stream)

    def release(self, stream: Stream) -> None:
        """Let the next run in at once; nothing happens where the stream is not held any more."""
        with self._writing:
            claim = self._held.pop(stream, None)
            if claim is not None:
                release_claim(self._store, stream, claim)

    def extend_for_deferral(self, seconds: float) -> dict[str, int]:
        """Keep the claims for ``seconds`` without renewal: this process ends, a later one of this run claims anew.

        Returns:
            By ledger folder the generation that is kept.
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
"""How often the claims are looked at while telling."""

_FRESH_SECONDS = 1.0
_SLOWEST_LOOK_SECONDS = 30.0
_ASK_AGAIN_SECONDS = 0.02


class ClaimMonitor:
    """Remembers when the claim was last seen unbroken; one thread looks, the others ask.

    A place that takes longer than a second to answer is looked at without a pause, and a look counts as fresh for
    twice its own time more. That is far below a claim's life, after which another run may take over.
    """

    def __init__(self, look: Callable[[], None], clock: Clock) -> None:
        """Take ``look``, which raises where the claim is lost."""
        self._look = look
        self._clock = clock
        self._seen = (float("-inf"), float("-inf"))
        self._fresh_seconds = _FRESH_SECONDS

    def verify(self) -> None:
        """Look now; whatever it raises ends the telling.

        Raises:
            StateUnavailableError: the place answers too slowly to see a rival in time.
        """
        # The time before the look: a look that was paused half way has seen what stood then.
        began = (self._clock.monotonic(), self._clock.now())
        self._look()
        took = self._clock.monotonic() - began[0]
        if took > _SLOWEST_LOOK_SECONDS:
            raise StateUnavailableError("(claims)", f"it took {took:.0f} s to list the claims")
        self._fresh_seconds = _FRESH_SECONDS + 2 * took
        self._seen = began

    def verify_if_due(self) -> bool:
        """Look where the last look is half a second old; return whether it was."""
        if self._clock.monotonic() - self._seen[0] < VERIFY_SECONDS:
            return False
        self.verify()
        return True

    def wait_until_verified(self, halt: threading.Event) -> bool:
        """Return ``True`` as soon as the last look is fresh, ``False`` when told to halt."""
        while not self._is_fresh():
            if self._clock.wait(_ASK_AGAIN_SECONDS, halt):
                return False
        return not halt.is_set()

    def _is_fresh(self) -> bool:
        # Of the two clocks one stands still while the machine is suspended, the other may be set.
        monotonic, wall = self._seen
        return (
            self._clock.monotonic() - monotonic < self._fresh_seconds
            and abs(self._clock.now() - wall) < self._fresh_seconds
        )
