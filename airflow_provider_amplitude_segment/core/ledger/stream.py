"""A stream: one cohort at one destination, and the folder that is its ledger.

No name from outside becomes part of a path as it is (``core.ledger.object_names``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_amplitude_segment.core.ledger.object_names import destination_folder, folder_name
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Store(Protocol):
    """The place of the ledgers. Names are relative, with ``/`` between folders.

    Every method raises ``StatePathError`` where the store fails.
    """

    def put(self, name: str, content: bytes) -> None:
        """Write an object whole or not at all; overwrite an earlier one."""

    def put_file(self, name: str, path: Path) -> None:
        """Write a local file as an object, whole or not at all."""

    def create(self, name: str, content: bytes) -> bool:
        """Write an object that must not exist; return whether this call created it."""

    def get(self, name: str) -> bytes | None:
        """Return an object of JSON, whole; ``None`` where there is none."""

    def get_file(self, name: str, to: Path) -> bool:
        """Copy an object, whole, into a local file; return whether there is one."""

    def names(self, folder: str) -> list[str]:
        """Return the names, without the folder, of the objects and folders directly below it, in any order."""

    def folders(self, folder: str) -> list[str]:
        """Return the names, without the folder, of the folders directly below it, in any order."""

    def delete(self, name: str) -> None:
        """Delete an object; does nothing where there is none."""

    def locate(self, name: str) -> str:
        """Return the place of an object, for messages."""


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits, a hash of the JSON of ``value``.

    >>> fingerprint({"b": 1, "a": None}) == fingerprint({"a": None, "b": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def source_name(host: str, write_key: str) -> str:
    """Return the name of a source whose connection has no ``destination_id``: a hash of host and write key.

    >>> source_name("api.segment.io", "hush")
    'dst-3bfa1fc9822052d27d37'
    >>> source_name("events.eu1.segmentapis.com", "hush") == source_name("api.segment.io", "hush")
    False
    """
    return f"dst-{_source_hash(host, write_key)[:20]}"


def key_fingerprint(host: str, write_key: str) -> str:
    """Return 16 hexadecimal digits that differ when host or write key differ.

    >>> key_fingerprint("api.segment.io", "hush"), key_fingerprint("api.segment.io", "hush2")
    ('3bfa1fc9822052d2', '13ef1083bb9ace24')
    """
    return _source_hash(host, write_key)[:16]


def _source_hash(host: str, write_key: str) -> str:
    return hashlib.sha256(f"{host}\0{write_key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Destination(NotForXCom):
    """A Segment source as the ledger and the report know it; holds no secret.

    Attributes:
        segment_conn_id: the ID of its connection.
        name: ``destination_id`` of the connection, else ``source_name``.
        workspace: slug of its workspace. Destinations that share one share a rate limit; ``None``: one of its own.
        key_fingerprint: ``key_fingerprint`` of its host and write key.
        source: slug of the source; ``None`` where the connection has none.
        host: host and, where unusual, port and path, in lower case.
        region: data region that its connection or its host names, ``US`` or ``EU``; ``None`` where neither does.
    """

    segment_conn_id: str
    name: str
    workspace: str | None = None
    key_fingerprint: str = ""
    source: str | None = None
    host: str = ""
    region: str | None = None

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return destination_folder(self.name)

    def with_integrations(self, integrations: Mapping[str, Any] | None) -> Destination:
        """Return this destination as Segment routes it by ``integrations``.

        Its ledger is another one, because another routing reaches other tools.
        """
        return replace(self, name=f"{self.name}~{fingerprint(dict(integrations))}") if integrations else self


@dataclass(frozen=True, slots=True)
class Stream:
    """One cohort at one destination."""

    app_id: str
    cohort_id: str
    destination: Destination

    @property
    def cohort_folder(self) -> str:
        """``<app id>/<cohort id>``, shared by all destinations of the cohort."""
        return f"{folder_name(self.app_id)}/{folder_name(self.cohort_id)}"

    @property
    def folder(self) -> str:
        """``<app id>/<cohort id>/<destination>``."""
        return f"{self.cohort_folder}/{self.destination.folder}"


@dataclass(frozen=True, slots=True)
class Run:
    """One task instance of one DAG run in one Airflow, over all its tries.

    Attributes:
        label: for a reader, e.g. ``DAG 'daily', run 'manual__…', task 'sync' in Airflow 'https://…' on host 'w-1'``.
        key: differs for every installation, DAG, run, task and map index; the same for each try.
        try_number: starts at 1.
        started_at: when its Airflow started the DAG run, as text; empty where unknown. It separates two Airflows that
            are alike in everything else, because they start a run of one ID at different times (ADR 0017).
        clear_number: how often the DAG run was cleared; clearing starts a finished run again.
        dag_run: differs for every installation, DAG and run; the same for all of its tasks.
        task: the DAG and the task, for a reader; the same for all runs, map indexes and installations.
        installation: differs for every Airflow; the same for all of its tasks.
        airflow: that Airflow, for a reader; two Airflows can have the same.
        max_tries: Airflow's limit of retries. Clearing a task raises it, also where the DAG run is not cleared.
    """

    label: str
    key: str
    try_number: int = 1
    started_at: str = ""
    clear_number: int = 0
    dag_run: str = ""
    task: str = ""
    installation: str = ""
    airflow: str = ""
    max_tries: int = 0
