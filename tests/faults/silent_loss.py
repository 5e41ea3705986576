"""Users whose messages Segment loses behind a 200, and who among them has lost one."""

from __future__ import annotations


class LostUsers(set[str]):
    """For the sandbox's ``loses_users``, which is asked once for each message that was not seen before.

    Attributes:
        unhealed: users who lost a message, until a verification of everything has healed them.
        ever: users who lost a message, also after that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unhealed: set[str] = set()
        self.ever: set[str] = set()

    def __contains__(self, user_id: object) -> bool:
        is_lost = super().__contains__(user_id)
        if is_lost and isinstance(user_id, str):
            self.unhealed.add(user_id)
            self.ever.add(user_id)
        return is_lost

    def explains(self, user_id: str, *, delivered: bool | None, believed: bool | None) -> bool:
        """Return whether a loss explains that Segment believes something else than was delivered.

        Whose ``true`` and ``false`` were both lost stays unknown to Segment, which is no member and nothing to heal.
        """
        return user_id in self.unhealed or (user_id in self.ever and delivered is False and believed is None)
