"""A value that stays in the task that got it."""

from __future__ import annotations

from typing import NoReturn

from airflow_provider_amplitude_segment.exceptions import XComValueError


class NotForXCom:
    """Base of the dataclasses that a public method of a hook or a client returns.

    Airflow writes any dataclass into an XCom, and then fails the next task, which may not read it back.

    >>> try:
    ...     NotForXCom().serialize()
    ... except XComValueError as error:
    ...     error.kind
    'NotForXCom'
    """

    __slots__ = ()

    def serialize(self) -> NoReturn:
        """Refuse to be returned from a task: Airflow calls this when it writes an XCom.

        https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/serializers.html

        Raises:
            XComValueError: Always; the task that would read it fails otherwise, without a word of why.
        """
        raise XComValueError(type(self).__name__, "plain values, such as dataclasses.asdict(value)")
