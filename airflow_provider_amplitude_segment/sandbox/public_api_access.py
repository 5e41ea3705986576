"""What the token of the stand-in workspace's Public API opens, and how often."""

from __future__ import annotations

from dataclasses import dataclass, field

from airflow_provider_amplitude_segment.sandbox.rate_window import RateWindow

PUBLIC_API_TOKEN = "sgp_sbxPublicApiToken000000001"  # noqa: S105 - of the sandbox, which holds no secret
REQUESTS_A_MINUTE = 200
EVENT_VOLUMES_A_MINUTE = 60


@dataclass(slots=True)
class PublicApiAccess:
    """The workspace and the rights of its token."""

    token: str = field(default=PUBLIC_API_TOKEN, repr=False)
    sees_write_keys: bool = True
    """Without *Source Admin*, ``writeKeys`` is empty in every response."""
    forbidden: bool = False
    """Whether the token has no rights: 403 to every request."""
    workspace_id: str = "sbxWorkspace000000001"
    workspace_slug: str = "sandbox"
    workspace_name: str = "Sandbox"
    spaces: bool = True
    """Whether the workspace has a space; without Unify it has none."""
    requests_per_minute: int | None = REQUESTS_A_MINUTE
    event_volumes_per_minute: int | None = EVENT_VOLUMES_A_MINUTE
    counts_delay_seconds: float = 0
    """How long after a batch its messages are in the delivery overview and in the event volume."""
    requests: int = 0
    """Requests so far, those with an error included."""
    window: RateWindow = field(default_factory=lambda: RateWindow(60), repr=False)
    event_volume_window: RateWindow = field(default_factory=lambda: RateWindow(60), repr=False)

    def forget(self) -> None:
        """Forget the requests so far; the settings stay."""
        self.requests = 0
        self.window, self.event_volume_window = RateWindow(60), RateWindow(60)
