"""The claim: who may tell one stream, and until when.

A claim is ``claim-n.json``, created exclusively; ``n`` is also the fencing token. Its owner alone writes it again, to
renew or to release it. Who takes over claims, then reads; who owns writes its plan, then looks at the claims: one of
the two sees the other (design 4, rules 1 and 5). A claim is never waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.mark import decode_entry, encode_entry, refuse_foreign
from airflow_provider_amplitude_segment.core.object_names import ObjectName, objects_of, parse_object
from airflow_provider_amplitude_segment.exceptions import ClaimHeldError, ClaimLostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_amplitude_segment.core.clock import Clock
    from airflow_provider_amplitude_segment.core.stream import Run, Store, Stream

CLAIM_SECONDS = 300.0
"""How long a claim lasts that is not renewed: so long a dead owner keeps other runs waiting."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One entry ``claim-n.json``.

    Attributes:
        generation: ``n``; higher ones fence off lower ones.
        run_key: the run that owns it.
        run_label: that run, for a reader.
        try_number: the run's try that took it.
        expires_at: seconds since 1970; from then on any run may take over.
        released: its owner has ended.
    """

    generation: int
    run_key: str
    run_label: str
    try_number: int
    expires_at: float
    released: bool = False

    def to_json(self) -> bytes:
        """Return the entry's bytes."""
        return encode_entry(
            {
                "generation": self.generation,
                "run": {"key": self.run_key, "label": self.run_label, "try": self.try_number},
                "expires_at": timestamp(self.expires_at),
                "expires_at_epoch": self.expires_at,
                "released": self.released,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, content: bytes) -> Claim | None:
        """Return the claim, or ``None`` for what a writer that died in the middle has left."""
        entry = decode_entry(content) or {}
        try:
            run = entry["run"]
            claim = cls(
                int(entry["generation"]),
                str(run["key"]),
                str(run["label"]),
                int(run["try"]),
                float(entry["expires_at_epoch"]),
                bool(entry["released"]),
            )
            # An expiry that is no time would be shown to nobody, and may never come.
            timestamp(claim.expires_at)
        except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
            return None
        return claim

    def is_live_for(self, run: Run, now: float) -> bool:
        """Tell whether it keeps ``run`` out. The same run is never kept out by its own earlier try."""
        return not self.released and self.expires_at > now and self.run_key != run.key


def newest_generation(names: Sequence[str]) -> int:
    """Return the highest generation that was ever claimed among a ledger's objects, 0 for none.

    >>> newest_generation(["claim-2.json", "claim-10.json", "plan-11.json"])
    10
    """
    return max((claim.generation for claim in objects_of(names, "claim")), default=0)


def _highest_number(names: Sequence[str]) -> int:
    """Return the highest generation that anything is named by: a claim may have been taken away by hand."""
    return max((max(found.generation, found.owner) for name in names if (found := parse_object(name))), default=0)


def take_claim(store: Store, stream: Stream, run: Run, now: float, *, above: int = 0) -> Claim:
    """Claim a stream.

    Args:
        store: where its ledger is.
        stream: what to claim.
        run: for whom.
        now: seconds since 1970.
        above: the claim's generation is higher than this, too: one that somebody remembers although the ledger is gone
            must not be used again. Rivals that remember differently are no danger: the lower one sees the higher one
            when it looks.

    Raises:
        ClaimHeldError: another run holds it, or took it in the same instant; nothing was read or written.
        LedgerDamagedError: the folder holds an entry of another program; nothing was written.
        LedgerFormatError: a newer version has claimed it; nothing was written.
    """
    names = store.names(stream.folder)
    newest = newest_generation(names)
    if newest:
        _refuse_if_held(store, stream, newest, run, now)
    else:
        _refuse_foreign_entries(store, stream.folder, names)
    claim = Claim(max(_highest_number(names), above) + 1, run.key, run.label, run.try_number, now + CLAIM_SECONDS)
    if not store.create(_name(stream, claim.generation), claim.to_json()):
        other = Claim.from_json(store.get(_name(stream, claim.generation)) or b"")
        holder = other.run_label if other else "a run that claimed it in the same instant"
        expires_at = other.expires_at if other else claim.expires_at
        raise ClaimHeldError(stream.destination.segment_conn_id, holder, timestamp(expires_at))
    return claim


def take_claims(
    store: Store, streams: Sequence[Stream], run: Run, clock: Clock, above: Mapping[Stream, int]
) -> dict[Stream, Claim]:
    """Claim all streams or none, in the order of their folders, so that two runs cannot hold half each.

    Raises:
        ClaimHeldError: another run holds one; what was taken before is released.
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
    """Let the next run in at once."""
    store.put(_name(stream, claim.generation), replace(claim, released=True).to_json())


def give_back(store: Store, folder: str, generation: int) -> bool:
    """Release a claim that another process of the same run took, and return whether there was one."""
    name = f"{folder}/{ObjectName('claim', generation)}"
    claim = Claim.from_json(store.get(name) or b"")
    if claim is not None:
        store.put(name, replace(claim, released=True).to_json())
    return claim is not None


def extend_claim(store: Store, stream: Stream, claim: Claim, expires_at: float) -> None:
    """Set when the claim expires, as seconds since 1970."""
    store.put(_name(stream, claim.generation), replace(claim, expires_at=expires_at).to_json())


def look_at_claims(store: Store, stream: Stream, claim: Claim) -> None:
    """See whether the stream was taken over.

    Raises:
        ClaimLostError: a higher claim stands; this owner must send and write nothing more.
    """
    newest = newest_generation(store.names(stream.folder))
    if newest > claim.generation:
        raise ClaimLostError(claim.generation, newest)


def _name(stream: Stream, generation: int) -> str:
    return f"{stream.folder}/{ObjectName('claim', generation)}"


def _refuse_if_held(store: Store, stream: Stream, generation: int, run: Run, now: float) -> None:
    content = store.get(_name(stream, generation))
    refuse_foreign(content, store.locate(_name(stream, generation)))
    claim = Claim.from_json(content or b"")
    if claim is not None and claim.is_live_for(run, now):
        raise ClaimHeldError(stream.destination.segment_conn_id, claim.run_label, timestamp(claim.expires_at))


def _refuse_foreign_entries(store: Store, folder: str, names: Sequence[str]) -> None:
    """Look at the entries of a folder that has no claim: a ledger of ours always keeps its highest one."""
    for found in objects_of(names, "plan", "commit"):
        name = f"{folder}/{found}"
        refuse_foreign(store.get(name), store.locate(name))
