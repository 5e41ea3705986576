"""Airflow's questions to people, as its API server keeps them: one for a task instance, over all tries.

``upsert_hitl_detail`` in ``airflow/api_fastapi/execution_api/routes/hitl.py`` of 3.3.2: the first text stays, and an
answer is removed.
"""

from types import SimpleNamespace
from typing import Any


class FakeQuestions:
    """Stands for the channel from a task to Airflow; only questions pass it."""

    def __init__(self) -> None:
        self.stored: dict[Any, Any] = {}
        self.answered: set[Any] = set()
        self.put: list[Any] = []
        # Whether an answer stays where the question is put again.
        self.keeps_answers = False
        self.refuses = False

    def send(self, msg: Any) -> Any:
        if self.refuses:
            raise RuntimeError("API_SERVER_ERROR")
        if type(msg).__name__ == "GetHITLDetailResponse":
            return SimpleNamespace(response_received=msg.ti_id in self.answered)
        assert type(msg).__name__ == "CreateHITLDetailPayload"
        self.put.append(msg)
        self.stored.setdefault(msg.ti_id, msg)
        if not self.keeps_answers:
            self.answered.discard(msg.ti_id)
        return None

    def answer(self, ti_id: Any, option: str, user: str = "alice", code: str | None = None) -> dict[str, Any]:
        """Answer the question, by default with what its form shows; return Airflow's event."""
        self.answered.add(ti_id)
        given = self.stored[ti_id].params["question"]["value"] if code is None else code
        return {
            "chosen_options": [option],
            "params_input": {"question": given},
            "responded_at": None,
            "responded_by_user": {"id": user, "name": user},
            "timedout": False,
        }
