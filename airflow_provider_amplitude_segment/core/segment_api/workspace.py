"""A workspace and its sources, as Segment's Public API lists them; without a secret."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom


@dataclass(frozen=True, slots=True)
class Workspace(NotForXCom):
    """The workspace that a Public API token opens.

    Attributes:
        workspace_id: Segment's ID of it.
        slug: its part of the web application's URLs.
        name: as people see it.
    """

    workspace_id: str
    slug: str
    name: str


@dataclass(frozen=True, slots=True)
class ListedSource(NotForXCom):
    """A source of a workspace.

    Attributes:
        source_id: Segment's ID of it.
        slug: its part of the web application's URLs.
        name: as people see it; the slug where it has none.
        enabled: whether it takes messages; a disabled one drops them behind a 200.
        keys: ``key_fingerprint`` of each of its write keys, at the host that the caller names; empty where the
            token may not see keys, or where its kind has none.
        hides_keys: whether it may have more keys than ``keys``, because the token may not see them, or because
            something of it cannot be read.
    """

    source_id: str
    slug: str
    name: str
    enabled: bool
    keys: frozenset[str] = field(default=frozenset(), repr=False)
    hides_keys: bool = False


@dataclass(frozen=True, slots=True)
class IdentifyRules(NotForXCom):
    """What a source does with traits that its tracking plan does not have.

    Attributes:
        tracking_plan_id: of the plan that is connected to it; ``None`` for none.
        drops_unplanned_traits: whether it removes a trait that the plan does not have, or drops the whole message.
        planned_traits: the plan's traits of identifies; ``None`` where they are not known.
    """

    tracking_plan_id: str | None = None
    drops_unplanned_traits: bool = False
    planned_traits: frozenset[str] | None = None

    def drops(self, trait: str) -> bool:
        """Return whether Segment is known to drop a trait of this name.

        >>> IdentifyRules("tp_1", True, frozenset({"email"})).drops("Power Users (c1)")
        True
        >>> IdentifyRules("tp_1", False, frozenset({"email"})).drops("Power Users (c1)")
        False
        """
        return self.drops_unplanned_traits and self.planned_traits is not None and trait not in self.planned_traits


@dataclass(frozen=True, slots=True)
class ConnectedDestination(NotForXCom):
    """A destination that a source feeds.

    Attributes:
        name: the kind of tool, as Segment's catalog and ``integrations`` name it, e.g. ``Braze``.
        slug: of that kind, e.g. ``actions-amplitude``.
        enabled: whether it receives anything.
    """

    name: str
    slug: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Space(NotForXCom):
    """A space of a workspace, which unifies its profiles.

    Attributes:
        space_id: Segment's ID of it.
        name: as people see it; the slug where it has none.
    """

    space_id: str
    name: str
