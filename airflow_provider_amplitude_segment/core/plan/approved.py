"""What an approval lets through: the same export, compared with the same states by the same parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.entry import Plan
from airflow_provider_amplitude_segment.core.plan.draft import NewDraft, plan_fingerprint

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow_provider_amplitude_segment.core.plan.draft import Draft, OpenedStream
    from airflow_provider_amplitude_segment.core.settings import SyncSettings


def starting_points(drafts: Sequence[Draft], settings: SyncSettings) -> dict[str, str]:
    """Return, by ledger folder, what each new draft's diff started from, and a hash of its parameters."""
    return {
        draft.opened.stream.folder: " ".join(
            [_start(draft.opened), plan_fingerprint(settings, draft.terms.trait, draft.terms.mode)[:16]]
        )
        for draft in drafts
        if isinstance(draft, NewDraft)
    }


def _start(opened: OpenedStream) -> str:
    newest = opened.newest
    if newest is None:
        return "nothing"
    if not isinstance(newest, Plan):
        return f"commit-{newest.generation}"
    # The journal of an unfinished plan grows, and with it the state.
    pending = opened.ledger.journal(newest).pending(newest.planned)
    return f"plan-{newest.generation}-{newest.planned - pending.count}"


def approve(drafts: Sequence[Draft], folders: Collection[str], approved_by: str) -> list[Draft]:
    """Return the drafts, with the approver's name in those of these ledger folders."""
    return [
        replace(draft, approved_by=approved_by)
        if isinstance(draft, NewDraft) and draft.opened.stream.folder in folders
        else draft
        for draft in drafts
    ]
