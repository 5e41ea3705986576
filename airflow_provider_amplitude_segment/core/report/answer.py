"""Read Airflow's event about a question into an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SEND_ANYWAY = "Send anyway"
DO_NOT_SEND = "Do not send"

CODE_FIELD = "question"
"""The form's field that holds the code of the question which is answered."""

Verdict = Literal["send", "do not send", "timed out", "other question", "not an approver"]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a question ended.

    Attributes:
        verdict: only ``send`` lets the sync through; after the last two, the question is put again.
        user: who answered, by user name; ``None`` for a time-out.
    """

    verdict: Verdict
    user: str | None = None

    @property
    def sentence(self) -> str:
        """How the question ended, for a reader.

        >>> Answer("do not send", "alice").sentence, Answer("timed out").sentence
        ("alice answered 'Do not send'", 'No person answered in time (approval_timeout)')
        """
        who = self.user or "A person"
        match self.verdict:
            case "send":
                return f"{who} answered {SEND_ANYWAY!r}"
            case "do not send":
                return f"{who} answered {DO_NOT_SEND!r}"
            case "timed out":
                return "No person answered in time (approval_timeout)"
            case "other question":
                return f"{who} answered {SEND_ANYWAY!r} with the code of another question"
            case "not an approver":
                return f"{who} answered {SEND_ANYWAY!r}, and is not among the approvers"


def read_answer(event: Mapping[str, Any], code: str, *, is_first: bool, approvers: Sequence[str] = ()) -> Answer:
    """Return the answer of an event, which may hold anything. What is no clear *Send anyway* sends nothing.

    Args:
        event: Airflow's, of 3.1 to 3.3.
        code: of the question that is open.
        is_first: whether Airflow shows the text of this question, because the task instance put no other before. Only
            then may the code be missing.
        approvers: user names or IDs that may answer; none: everyone.

    >>> alice = {"id": "7", "name": "alice"}
    >>> event = {"chosen_options": ["Send anyway"], "params_input": {"question": " 4f2a01 "}}
    >>> event["responded_by_user"] = alice
    >>> read_answer(event, "4F2A01", is_first=False, approvers=["alice"])
    Answer(verdict='send', user='alice')
    >>> read_answer(event, "4F2A02", is_first=True).verdict
    'other question'
    >>> read_answer(event, "4F2A01", is_first=True, approvers=["bob"])
    Answer(verdict='not an approver', user='alice')
    >>> bare = {**event, "params_input": {}}
    >>> [read_answer(bare, "4F2A01", is_first=first).verdict for first in (True, False)]
    ['send', 'other question']
    >>> read_answer({**event, "chosen_options": ["Do not send"]}, "4F2A01", is_first=True)
    Answer(verdict='do not send', user='alice')
    >>> late = {"chosen_options": ["Do not send"], "params_input": {}, "responded_by_user": None, "timedout": True}
    >>> [read_answer(e, "4F2A01", is_first=True).verdict for e in (late, {"error": "…", "error_type": "timeout"})]
    ['timed out', 'timed out']
    >>> read_answer({**event, "responded_by_user": None}, "4F2A01", is_first=True)
    Answer(verdict='do not send', user=None)
    """
    user = _user(event.get("responded_by_user"))
    if event.get("error_type") == "timeout" or event.get("timedout"):
        return Answer("timed out")
    if list(event.get("chosen_options") or []) != [SEND_ANYWAY] or not user or event.get("error"):
        return Answer("do not send", user.get("name"))
    if approvers and not set(user.values()).intersection(approvers):
        return Answer("not an approver", user["name"])
    given = (event.get("params_input") or {}).get(CODE_FIELD)
    # Airflow's form sends a field either bare or as a parameter with its schema.
    text = given.get("value") if isinstance(given, dict) else given
    is_this = is_first if text is None else str(text).strip().upper() == code
    return Answer("send" if is_this else "other question", user["name"])


def _user(value: Any) -> dict[str, str]:
    """Return a user's ``id`` and ``name``; empty where there is none.

    >>> _user({"id": 7, "name": "alice"}), _user({"id": "7", "name": ""}), _user(None)
    ({'id': '7', 'name': 'alice'}, {'id': '7', 'name': '7'}, {})
    """
    if not isinstance(value, dict) or not value.get("id"):
        return {}
    return {"id": str(value["id"]), "name": str(value.get("name") or value["id"])}
