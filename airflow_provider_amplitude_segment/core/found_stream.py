"""Streams found in a state path by their folders, for whoever looks after ledgers outside of a sync."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.stream import Destination, Stream

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.stream import Store


@dataclass(frozen=True, slots=True)
class FoundStream(Stream):
    """A stream whose three names are those of its folders, which may be hashes of what they were made from."""

    @property
    def cohort_folder(self) -> str:
        """``<app id>/<cohort id>``."""
        return f"{self.app_id}/{self.cohort_id}"

    @property
    def folder(self) -> str:
        """``<app id>/<cohort id>/<destination>``."""
        return f"{self.cohort_folder}/{self.destination.name}"


def find_streams(store: Store) -> list[FoundStream]:
    """Return all streams of a state path, in the order of their folders, also those that were never told anything."""
    found = []
    for app in sorted(store.names("")):
        for cohort in sorted(store.names(app)):
            for name in sorted(store.names(f"{app}/{cohort}")):
                stream = FoundStream(app, cohort, Destination(name, name))
                if name != "runs" and store.names(stream.folder):
                    found.append(stream)
    return found
