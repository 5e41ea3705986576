"""Name how a sync can end: incomplete, skipped on purpose, or with rejected users."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.exceptions import RejectedUsersError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_amplitude_segment.core.report.report import SyncReport
    from airflow_provider_amplitude_segment.core.settings import RejectedPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExportIncomplete:
    """The export is not complete; the claims stay held for the deferral, and no thread of the sync runs.

    Attributes:
        request_id: of the export.
        claims: by ledger folder, the generation that is held.
    """

    request_id: str
    claims: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Skipped:
    """The sync was skipped on purpose; nothing was sent or committed."""

    reason: str


def raise_for_rejected(report: SyncReport, on_rejected: RejectedPolicy) -> None:
    """Raise, or warn, if a committed sync has rejected users; all others are delivered.

    Raises:
        RejectedUsersError: users were rejected, and ``on_rejected`` is ``fail``. Skipped users do not count.
    """
    rejected = sum(destination.rejected for destination in report.destinations)
    if not rejected or report.dry_run:
        return
    where = ", ".join(d.rejected_users for d in report.destinations if d.rejected_users)
    error = RejectedUsersError(rejected, where)
    if on_rejected == "fail":
        raise error
    log.warning("%s. All others are delivered and committed. Users and reasons: %s", error.happened, where)
