"""Airflow's questions to people, as its API server keeps them: one for a task instance, over all tries.

``upsert_hitl_detail`` in ``airflow/api_fastapi/execution_api/routes/hitl.py`` of 3.3.2: the first text stays, and an
answer is removed.
"""

from typing import Any


class FakeQuestions:
    """Stands for the channel from a task to Airflow; only questions pass it."""

    def __init__(self) -> None:
        self.stored: dict[Any, Any] = {}
        self.put: list[Any] = []
        self.refuses = False
        self._answers = 0

    def send(self, msg: Any) -> Any:
        if self.refuses:
            raise RuntimeError("API_SERVER_ERROR")
        if type(msg).__name__ == "GetConnection":
            return _no_connection()
        # The supervisor of a task, as that of 3.3.2, takes no other message about a question.
        assert type(msg).__name__ == "CreateHITLDetailPayload"
        self.put.append(msg)
        self.stored.setdefault(msg.ti_id, msg)
        return None

    def answer(self, ti_id: Any, option: str, user: str = "alice", code: str | None = None) -> dict[str, Any]:
        """Answer the question, by default with what its form shows; return Airflow's event."""
        self._answers += 1
        given = self.stored[ti_id].params["question"]["value"] if code is None else code
        return {
            "chosen_options": [option],
            "params_input": {"question": given},
            "responded_at": f"2026-11-24T03:00:{self._answers:02}Z",
            "responded_by_user": {"id": user, "name": user},
            "timedout": False,
        }


def _no_connection() -> Any:
    """Return what a task gets for a connection that Airflow's database does not have."""
    from airflow.sdk.exceptions import ErrorType  # noqa: PLC0415 - Airflow 3
    from airflow.sdk.execution_time.comms import ErrorResponse  # noqa: PLC0415 - Airflow 3

    return ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND)
