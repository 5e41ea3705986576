"""The claim: a run's lease on one stream.

A claim is ``claim-n.json``, created exclusively; ``n`` is also the fencing token. Only its owner writes it again, to
renew or to release it. A run that takes over claims first and reads then. An owner writes its plan first and verifies
its claim then. So one of the two sees the other (design 4, rules 1 and 5). A run never waits for a claim.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import duration, timestamp
from airflow_provider_amplitude_segment.core.ledger.ledger_clock import first_seen
from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, objects_of, parse_object
from airflow_provider_amplitude_segment.core.ledger.state_path_mark import decode_entry, encode_entry, refuse_foreign
from airflow_provider_amplitude_segment.exceptions import CHECK_CLOCKS, ClaimHeldError, ClaimLostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.ledger.stream import Run, Store, Stream

log = logging.getLogger(__name__)

CLAIM_SECONDS = 300.0
"""How long a claim lasts without a renewal: a killed run keeps other runs out for so long at most."""

_SAME_INSTANT = "a run that claimed it at the same time"


@dataclass(frozen=True, slots=True)
class Claim:
    """One entry ``claim-n.json``.

    Attributes:
        generation: ``n``; a higher one fences off the lower ones.
        run_key: the run that owns it.
        run_label: that run, for a reader.
        try_number: the run's try that took it.
        written_at: seconds since 1970, by the owner's clock.
        expires_at: seconds since 1970, by the owner's clock; then any run may take over.
        started_at: when the owner's DAG run started, as in ``Run``.
        clear_number: how often the owner's DAG run was cleared.
        deferred: whether that try is deferred, and another process resumes it.
        released: whether its owner has ended.
    """

    generation: int
    run_key: str
    run_label: str
    try_number: int
    written_at: float
    expires_at: float
    started_at: str = ""
    clear_number: int = 0
    deferred: bool = False
    released: bool = False

    @classmethod
    def of(cls, run: Run, generation: int, now: float) -> Claim:
        """Return a new claim of ``run``."""
        expires_at = now + CLAIM_SECONDS
        return cls(generation, run.key, run.label, run.try_number, now, expires_at, run.started_at, run.clear_number)

    def to_json(self) -> bytes:
        """Return the entry's bytes."""
        return encode_entry(
            {
                "generation": self.generation,
                "run": {
                    "key": self.run_key,
                    "label": self.run_label,
                    "try": self.try_number,
                    "started_at": self.started_at,
                    "clear_number": self.clear_number,
                },
                "written_at": timestamp(self.written_at),
                "written_at_epoch": self.written_at,
                "expires_at": timestamp(self.expires_at),
                "expires_at_epoch": self.expires_at,
                "deferred": self.deferred,
                "released": self.released,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, content: bytes) -> Claim | None:
        """Return the claim, or ``None`` where it is torn, as a writer that was killed leaves it."""
        entry = decode_entry(content) or {}
        try:
            run = entry["run"]
            claim = cls(
                int(entry["generation"]),
                str(run["key"]),
                str(run["label"]),
                int(run["try"]),
                float(entry["written_at_epoch"]),
                float(entry["expires_at_epoch"]),
                str(run["started_at"]),
                int(run["clear_number"]),
                bool(entry["deferred"]),
                bool(entry["released"]),
            )
            # These raise where the number is no time: it cannot be shown, and may never come.
            timestamp(claim.written_at)
            timestamp(claim.expires_at)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            return None
        return claim

    @property
    def holder(self) -> str:
        """The owner, for a reader: its run and try."""
        return f"{self.run_label} (try {self.try_number})"

    @property
    def seconds(self) -> float:
        """How long it lasts after it was written."""
        return max(0.0, self.expires_at - self.written_at)

    def is_of_earlier_try(self, run: Run) -> bool:
        """Return whether an earlier try of ``run`` took it, so that it does not keep ``run`` out.

        The key alone does not prove it (ADR 0017), because two Airflows may share a key; their DAG runs start at
        different times. Nor does the same try, because Airflow runs a try twice only when it was deferred.

        >>> from airflow_provider_amplitude_segment.core.ledger.stream import Run
        >>> claim = Claim(1, "k", "run", 1, 0.0, 300.0, started_at="10:00")
        >>> claim.is_of_earlier_try(Run("run", "k", 2, started_at="10:00"))
        True
        >>> claim.is_of_earlier_try(Run("run", "k", 2, started_at="10:01"))
        False
        >>> claim.is_of_earlier_try(Run("run", "k", 2, started_at="11:30", clear_number=1))
        True
        >>> claim.is_of_earlier_try(Run("run", "k", 1, started_at="10:00"))
        False
        """
        if self.run_key != run.key:
            return False
        if self.started_at != run.started_at:
            return run.clear_number > self.clear_number
        return self.try_number < run.try_number or (self.deferred and self.try_number == run.try_number)


def newest_generation(names: Sequence[str]) -> int:
    """Return the highest generation of a claim among a ledger's objects, 0 for none.

    >>> newest_generation(["claim-2.json", "claim-10.json", "plan-11.json"])
    10
    """
    return max((claim.generation for claim in objects_of(names, "claim")), default=0)


def _highest_number(names: Sequence[str]) -> int:
    """Return the highest generation in any object's name, because a person may have deleted a claim."""
    return max((max(found.generation, found.owner) for name in names if (found := parse_object(name))), default=0)


def take_claim(store: Store, stream: Stream, run: Run, now: float, *, above: int = 0) -> Claim:
    """Claim a stream.

    Args:
        store: where its ledger is.
        stream: the stream to claim.
        run: the owner of the claim.
        now: seconds since 1970.
        above: the claim's generation is higher than this, because Airflow may have recorded a generation that the
            ledger lost, and no generation is used twice. Two runs may pass different numbers: the run with the lower
            claim sees the higher one when it verifies its claim.

    Raises:
        ClaimHeldError: another run holds it, or took it at the same time; at most ``seen-n.json`` was written.
        LedgerDamagedError: the folder holds an entry of another program; nothing was written.
        LedgerFormatError: another version claimed it; nothing was written.
    """
    names = store.names(stream.folder)
    newest = newest_generation(names)
    if newest:
        _refuse_if_held(store, stream, newest, run, now)
    else:
        _refuse_foreign_entries(store, stream.folder, names)
    claim = Claim.of(run, max(_highest_number(names), above) + 1, now)
    if not store.create(_name(stream, claim.generation), claim.to_json()):
        other = _read(store, stream.folder, claim.generation) or replace(claim, run_label=_SAME_INSTANT)
        raise ClaimHeldError(stream.destination.segment_conn_id, other.holder, timestamp(other.expires_at))
    return claim


def take_claims(
    store: Store, streams: Sequence[Stream], run: Run, clock: Clock, above: Mapping[Stream, int]
) -> dict[Stream, Claim]:
    """Claim all streams or none, in the order of their folders, so that two runs never hold half each.

    Raises:
        ClaimHeldError: another run holds one; the claims taken before it are released.
    """
    taken: dict[Stream, Claim] = {}
    try:
        for stream in sorted(streams, key=lambda stream: stream.folder):
            taken[stream] = take_claim(store, stream, run, clock.now(), above=above.get(stream, 0))
    except BaseException:
        for stream, claim in taken.items():
            release_claim(store, stream, claim)
        raise
    return taken


def release_claim(store: Store, stream: Stream, claim: Claim) -> None:
    """End a claim, so that the next run may claim at once."""
    store.put(_name(stream, claim.generation), replace(claim, released=True).to_json())


def release_by_folder(store: Store, folder: str, generation: int) -> bool:
    """Release a claim that another process of the same run took; return whether there was one."""
    claim = _read(store, folder, generation)
    if claim is not None:
        store.put(f"{folder}/{ObjectName('claim', generation)}", replace(claim, released=True).to_json())
    return claim is not None


def renew_claim(store: Store, stream: Stream, claim: Claim, now: float) -> None:
    """Extend a claim to ``CLAIM_SECONDS`` from ``now``."""
    renewed = replace(claim, written_at=now, expires_at=now + CLAIM_SECONDS, deferred=False)
    store.put(_name(stream, claim.generation), renewed.to_json())


def defer_claim(store: Store, stream: Stream, claim: Claim, now: float, seconds: float) -> None:
    """Extend a claim to ``seconds`` from ``now``, for a deferral: no process renews it until one resumes the try."""
    deferred = replace(claim, written_at=now, expires_at=now + seconds, deferred=True)
    store.put(_name(stream, claim.generation), deferred.to_json())


def verify_claims(store: Store, stream: Stream, claim: Claim) -> None:
    """List the claims, and raise unless this one is the highest.

    Raises:
        ClaimLostError: there is a higher claim; the owner of this one must send and write nothing more.
    """
    newest = newest_generation(store.names(stream.folder))
    if newest > claim.generation:
        raise claim_lost(store, stream.folder, claim.generation)


def claim_lost(store: Store, folder: str, generation: int) -> ClaimLostError:
    """Return the error for the owner of claim ``generation``; it names the run that holds the stream now."""
    newest = newest_generation(store.names(folder))
    if newest <= generation:
        return ClaimLostError(generation, None)
    newer = _read(store, folder, newest)
    return ClaimLostError(generation, newest, newer.holder if newer else "")


def _name(stream: Stream, generation: int) -> str:
    return f"{stream.folder}/{ObjectName('claim', generation)}"


def _read(store: Store, folder: str, generation: int) -> Claim | None:
    return Claim.from_json(store.get(f"{folder}/{ObjectName('claim', generation)}") or b"")


def _refuse_if_held(store: Store, stream: Stream, generation: int, run: Run, now: float) -> None:
    """Refuse a run while another one holds the newest claim.

    Raises:
        ClaimHeldError: names that run, and when its claim ends unless it is renewed.
    """
    content = store.get(_name(stream, generation)) or b""
    refuse_foreign(content, store.locate(_name(stream, generation)))
    claim = Claim.from_json(content)
    if claim is None or claim.released or claim.is_of_earlier_try(run):
        return
    label, ahead, ends_at = stream.destination.segment_conn_id, claim.written_at - now, claim.expires_at
    if ahead > 0:
        # Not its own times, because a clock that is a year ahead would keep all runs out for a year.
        ends_at = first_seen(store, stream.folder, generation, content, now) + claim.seconds
    if ends_at > now:
        raise ClaimHeldError(label, claim.holder, timestamp(ends_at), duration(ahead) if ahead > 0 else "")
    if ahead > 0:
        log.warning(
            "The claim of %s on Segment connection %r was written %s ahead of this worker's clock and was not "
            "renewed, so this run takes it over. %s",
            claim.holder,
            label,
            duration(ahead),
            CHECK_CLOCKS,
        )


def _refuse_foreign_entries(store: Store, folder: str, names: Sequence[str]) -> None:
    """Raise where a folder without a claim has another program's entries; a ledger always keeps its highest claim."""
    for found in objects_of(names, "plan", "commit"):
        name = f"{folder}/{found}"
        refuse_foreign(store.get(name), store.locate(name))
