"""Write a question for a person: a subject, and a body in Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.report.answer import DO_NOT_SEND, SEND_ANYWAY

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.report.question import AlsoSent, AskedDestination, Question

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~&])")


def subject_of(question: Question) -> str:
    """Return one line with the cohort and the numbers.

    >>> from airflow_provider_amplitude_segment.core.report.question import AskedDestination, Question
    >>> asked = AskedDestination("segment_default", 200, 3, 150, 0.5)
    >>> subject_of(Question("187520", "c1", "Power Users", "R1", 53, 0, {}, (asked,)))
    "Send cohort 'Power Users' (c1)? 150 of 200 members would exit (75%) at segment_default"
    """
    worst = max(question.destinations, key=lambda asked: asked.ratio)
    others = len(question.destinations) - 1
    more = f" and at {others} more" if others else ""
    return (
        f"Send cohort {_name(question)}? {worst.would_exit:,} of {worst.known:,} members would exit "
        f"({worst.ratio:.0%}) at {worst.segment_conn_id}{more}"
    )


def body_of(question: Question, wait: str) -> str:
    """Return the question's body in Markdown.

    Args:
        question: what is asked.
        wait: how long the task waits for the answer, in words.
    """
    lines = [
        f"A guard stopped the sync of cohort {plain(_name(question))} before anything was sent.",
        f"The export has {question.members:,} members and {question.anonymous:,} users without a user ID.",
        "",
        "| Destination | Known | Would enter | Would exit | Ratio | Stopped by |",
        "|---|---:|---:|---:|---:|---|",
        *(_row(asked) for asked in question.destinations),
        *(_other_row(other) for other in question.also_sent),
        "",
    ]
    lines += [
        f"- Planned changes for {plain(asked.segment_conn_id)}: {plain(asked.planned_changes)}"
        for asked in question.destinations
        if asked.planned_changes
    ]
    for asked in question.destinations:
        if asked.past:
            lines += ["", f"Last syncs to {plain(asked.segment_conn_id)}:", "", *_past(asked)]
    consequence = (
        f"**{SEND_ANYWAY}** sends the same export to {_destinations(question)}. **{DO_NOT_SEND}** sends nothing, and "
        f"the task fails. Without an answer within {wait}, nothing is sent."
    )
    binding = (
        f"This is question {question.code}. If the task asks again because the state changed, Airflow keeps showing "
        "this text and this code. The task's log has the question that is open: enter its code to approve it."
    )
    lines += ["", consequence, "", binding]
    return "\n".join(lines)


def plain(text: str) -> str:
    r"""Return text that Markdown shows as it is, on one line.

    >>> print(plain("Users | <b>*new*</b>\n# one"))
    Users \| \<b\>\*new\*\</b\> \# one
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _name(question: Question) -> str:
    return f"{question.cohort_name!r} ({question.cohort_id})" if question.cohort_name else question.cohort_id


def _row(asked: AskedDestination) -> str:
    counts = f"{asked.known:,} | {asked.would_enter:,} | {asked.would_exit:,} | {asked.ratio:.0%}"
    return f"| {plain(asked.segment_conn_id)} | {counts} | `{asked.limit}` |"


def _other_row(other: AlsoSent) -> str:
    known, ratio = "unknown", ""
    if other.known is not None:
        known, ratio = f"{other.known:,}", f"{other.would_exit / other.known if other.known else 0:.0%}"
    counts = f"{known} | {other.would_enter:,} | {other.would_exit:,} | {ratio}"
    return f"| {plain(other.segment_conn_id)} | {counts} | not stopped |"


def _destinations(question: Question) -> str:
    """Return how many destinations *Send anyway* sends to."""
    count = len(question.destinations) + len(question.also_sent)
    if count == 1:
        return "this destination"
    return f"all {count} destinations" + (", also to those that no guard stopped" if question.also_sent else "")


def _past(asked: AskedDestination) -> list[str]:
    rows = ["| Ended | Entered | Exited | Members after it |", "|---|---:|---:|---:|"]
    for past in asked.past:
        known = "unknown" if past.known is None else f"{past.known:,}"
        rows.append(f"| {plain(past.at)} | {past.entered:,} | {past.exited:,} | {known} |")
    return rows
