"""Save how a question to a person ended, beside the report of the try that asked."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.clock import timestamp
from airflow_provider_amplitude_segment.core.ledger.ledger import Ledger
from airflow_provider_amplitude_segment.core.report.saved_report import APPROVED, ASKED, DECLINED, NOT_ANSWERED
from airflow_provider_amplitude_segment.exceptions import LedgerError

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.stream import Store
    from airflow_provider_amplitude_segment.core.report.answer import Answer
    from airflow_provider_amplitude_segment.core.report.question import Question
    from airflow_provider_amplitude_segment.core.report.report import SyncReport

log = logging.getLogger(__name__)

_ENDINGS = {"send": APPROVED, "do not send": DECLINED, "timed out": NOT_ANSWERED}


def save_answer(store: Store, question: Question, report: SyncReport, answer: Answer, now: float) -> None:
    """Write an answer into the report of each claim under which the question was put; a failure is only a warning.

    No claim is held, because the file is named by a claim that only this run ever had, and no other run writes or reads
    it to decide anything. So an answer needs no second claim, which another run might hold. A report that does not wait
    for an answer, or that was pruned meanwhile, stays as it is.

    Args:
        store: where the ledgers are.
        question: which was answered.
        report: of the sync, with the error that the answer ends it with.
        answer: one that ends the question.
        now: seconds since 1970.
    """
    is_approved = answer.verdict == "send"
    facts = {
        "ended_by": None if is_approved else type(question.error({})).__name__,
        "question": _ENDINGS[answer.verdict],
        "answered_by": answer.user,
        "answered_at": timestamp(now),
    }
    for folder, claim in question.claims.items():
        ledger = Ledger(store, folder)
        try:
            saved = ledger.report(claim)
            if saved.get("question") == ASKED:
                ledger.put_report(claim, {**saved, **report.as_dict(), **facts})
        except LedgerError as error:
            log.warning("The answer could not be saved in a report: %s", error.happened)
