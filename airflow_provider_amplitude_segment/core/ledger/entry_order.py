"""The order of a ledger's plans and commits, by names alone (ADR 0036)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.ledger.object_names import ObjectName, objects_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def entries_of(names: Iterable[str]) -> list[ObjectName]:
    """Return the plans and commits among a folder's names, the newest last, and a commit after its plan.

    The newest one is that on which the highest claim worked: the one that wrote it, or a later one that left a journal
    or a snapshot when it resumed the plan. An owner that paused before it wrote its plan, and wakes after that, leaves
    a plan of a higher generation. It sends nothing of it, and the plan does not know what was sent meanwhile.

    >>> [str(name) for name in entries_of(["plan-1.json", "plan-2.json", "acked-1-1.json"])]
    ['plan-1.json', 'plan-2.json']
    >>> [str(name) for name in entries_of(["plan-1.json", "plan-2.json", "acked-1-3.json", "commit-1.json"])]
    ['plan-2.json', 'plan-1.json', 'commit-1.json']
    """
    known = objects_of(names, "plan", "commit", "acked", "snapshot")
    worked: dict[int, int] = {}
    for name in known:
        worked[name.generation] = max(name.owner, worked.get(name.generation, 0))
    entries = [name for name in known if name.kind in {"plan", "commit"}]
    return sorted(entries, key=lambda entry: (worked[entry.generation], entry.generation, entry.kind == "commit"))
