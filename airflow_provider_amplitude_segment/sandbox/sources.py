"""The sources of the stand-in workspace, as its Public API lists them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

WRITE_KEY_DEFAULT = "sbxDefaultWriteKey00000000000001"
WRITE_KEY_EMEA = "sbxEmeaWriteKey00000000000000002"

UnplannedTraits = Literal["ALLOW", "OMIT_TRAITS", "BLOCK"]


@dataclass(slots=True)
class SandboxDestination:
    """A destination that a source feeds."""

    name: str
    """The kind of tool, as Segment's catalog names it, e.g. ``Braze``."""
    slug: str
    """Of that kind, e.g. ``actions-amplitude``."""
    destination_id: str
    enabled: bool = True


@dataclass(slots=True)
class SandboxSource:
    """A source of the workspace. A test may change it at any time."""

    source_id: str
    slug: str
    name: str = ""
    write_keys: list[str] = field(default_factory=list, repr=False)
    kind_id: str = "iUM16Md8P2"
    """ID of its kind in Segment's catalog; by default that of the HTTP API. Some kinds have no write key."""
    enabled: bool = True
    """A disabled source loses everything behind a 200."""
    tracking_plan_id: str | None = None
    planned_traits: set[str] = field(default_factory=set)
    """The traits of identifies that the tracking plan has."""
    mode: UnplannedTraits = "ALLOW"
    """What happens to an identify with a trait that the tracking plan does not have; only with a tracking plan."""
    requires_oauth: bool = False
    """Whether a batch needs a bearer token."""
    oauth_apps: set[str] | None = None
    """IDs of the OAuth applications that are connected to it; ``None`` for all."""
    destinations: list[SandboxDestination] = field(default_factory=list)

    def unplanned(self, traits: Iterable[str]) -> set[str]:
        """Return the traits that this source does not let pass.

        >>> SandboxSource("s", "s", tracking_plan_id="tp", planned_traits={"email"}, mode="BLOCK").unplanned(["plan"])
        {'plan'}
        """
        if self.tracking_plan_id is None or self.mode == "ALLOW":
            return set()
        return set(traits) - self.planned_traits


def default_sources() -> dict[str, SandboxSource]:
    """Return the two sources of the start, by write key."""
    sources = (
        SandboxSource("sbxSourceDefault000001", "segment_default", "Segment default", [WRITE_KEY_DEFAULT]),
        SandboxSource("sbxSourceEmea000000002", "segment_emea", "Segment EMEA", [WRITE_KEY_EMEA]),
    )
    return {source.write_keys[0]: source for source in sources}
