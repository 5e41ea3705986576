"""The way to one workspace: a Public API client, and the connection that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.segment_api.ports import PublicApi
    from airflow_provider_amplitude_segment.core.segment_api.time_limit import TimeLimit


@dataclass(frozen=True, slots=True)
class PublicApiAccess:
    """A client of the Public API, with what messages and the check of a write key need of its connection.

    Attributes:
        conn_id: the connection that has the token.
        region: the workspace's data region, ``US`` or ``EU``; ``None`` where the connection does not say it.
        api: the client. Besides the errors of the protocol, its methods raise ``TimeoutError`` after the limit.
        limit: of the client's requests together; the caller lets it begin.
    """

    conn_id: str
    region: str | None
    api: PublicApi
    limit: TimeLimit
