"""Prove the write keys of a sync's destinations, as far as their connections name the Public API.

A key that is wrong, or whose source is disabled, refuses the sync. A check that cannot be made is a warning, because
an API that no sync needs must not block one (ADR 0027).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from airflow_provider_amplitude_segment.core.proof.kept_source import read_source, write_source
from airflow_provider_amplitude_segment.core.segment_api.source_check import (
    CHECK_SECONDS,
    AskedKey,
    ProvedSource,
    UnknownSource,
    check_keys,
)
from airflow_provider_amplitude_segment.exceptions import GuardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_provider_amplitude_segment.core.delivery.ports import DeliveryPorts, Segment
    from airflow_provider_amplitude_segment.core.ledger.stream import Destination, Run
    from airflow_provider_amplitude_segment.core.segment_api.source_check import Checked

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WriteKeyProofs:
    """What is known of each write key that was asked about.

    Attributes:
        by_destination: by the destination's name; a destination without a Public API connection has none.
    """

    by_destination: Mapping[str, ProvedSource | UnknownSource] = field(default_factory=dict)

    def source_checked(self, destination: str) -> Literal["proved", "unknown"] | None:
        """Return what the report says of a destination; ``None``: its key was not asked about."""
        proof = self.by_destination.get(destination)
        if proof is None:
            return None
        return "proved" if isinstance(proof, ProvedSource) else "unknown"

    def complete_all(self, clients: Mapping[Destination, Segment]) -> dict[Destination, Segment]:
        """Return the clients by their completed destinations."""
        proofs = self.by_destination
        return {complete(destination, proofs.get(destination.name)): client for destination, client in clients.items()}

    def warn_of_dropped_traits(self, destination: Destination, traits: Iterable[str]) -> None:
        """Log a warning that names the traits that Segment will drop behind a 200."""
        proof = self.by_destination.get(destination.name)
        rules = proof.rules if isinstance(proof, ProvedSource) else None
        dropped = [trait for trait in traits if rules is not None and rules.drops(trait)]
        if isinstance(proof, ProvedSource) and dropped:
            log.warning(
                "%s: Segment will drop %s, which is not in the tracking plan of source %r, because the source drops "
                "unplanned traits. The sync goes on. Add it to the tracking plan, or let the source allow it.",
                destination.segment_conn_id,
                ", ".join(f"trait {trait!r}" for trait in dropped),
                proof.source.slug,
            )


def complete(destination: Destination, proof: Checked | None) -> Destination:
    """Return a destination with the slugs that were found, where its connection has none. Its name stays."""
    if not isinstance(proof, ProvedSource):
        return destination
    return replace(
        destination,
        workspace=destination.workspace or proof.workspace.slug,
        source=destination.source or proof.source.slug,
    )


def prove_write_keys(ports: DeliveryPorts, run: Run) -> WriteKeyProofs:
    """Return what is known of the destinations' write keys: kept by this DAG run, else as Segment says now.

    Raises:
        WriteKeyError: a key belongs to no source of its workspace, or to another data region.
        SourceDisabledError: its source is disabled.
    """
    known: dict[str, Checked] = {}
    asked: dict[tuple[str, str], list[Destination]] = {}
    for destination in ports.segment_clients:
        access = ports.public_apis.get(destination.name)
        if access is None:
            continue
        if kept := read_source(ports.store, destination.key_fingerprint, run):
            known[destination.name] = kept
            continue
        asked.setdefault((access.conn_id, destination.host), []).append(destination)
    # One limit for all connections, because a sync waits for their sum.
    ends_at = ports.clock.monotonic() + CHECK_SECONDS
    for destinations in asked.values():
        known |= _ask(ports, run, destinations, ends_at - ports.clock.monotonic())
    error = next((known[d.name] for d in ports.segment_clients if isinstance(known.get(d.name), GuardError)), None)
    if isinstance(error, GuardError):
        raise error
    proofs = {name: proof for name, proof in known.items() if not isinstance(proof, GuardError)}
    for destination in ports.segment_clients:
        if destination.name in proofs:
            _log(destination, proofs[destination.name])
    return WriteKeyProofs(proofs)


def _ask(ports: DeliveryPorts, run: Run, destinations: Sequence[Destination], seconds: float) -> dict[str, Checked]:
    """Ask about destinations of one host by one connection, for so long at most, and keep what they say."""
    access = ports.public_apis[destinations[0].name]
    keys = [AskedKey(d.segment_conn_id, d.key_fingerprint, d.host, d.region) for d in destinations]
    checked = check_keys(access, keys, seconds)
    for destination in destinations:
        proof = checked[destination.key_fingerprint]
        if isinstance(proof, ProvedSource | UnknownSource):
            write_source(ports.store, destination.key_fingerprint, run, proof, ports.clock.now())
    return {destination.name: checked[destination.key_fingerprint] for destination in destinations}


def _log(destination: Destination, proof: ProvedSource | UnknownSource) -> None:
    conn_id = destination.segment_conn_id
    if isinstance(proof, UnknownSource):
        log.warning("%s: the write key is not proved: %s. The sync goes on. %s", conn_id, proof.reason, proof.advice)
        return
    log.info(
        "%s: the write key is proved: source %r of workspace %r, which is enabled",
        conn_id,
        proof.source.slug,
        proof.workspace.slug,
    )
    if proof.feeds_amplitude:
        log.info(
            "%s: source %r also feeds Amplitude, so Amplitude receives the identifies of its own cohort",
            conn_id,
            proof.source.slug,
        )
