"""A value that a task must not return."""

from __future__ import annotations

from typing import NoReturn

from airflow_provider_amplitude_segment.exceptions import XComValueError


class NotForXCom:
    """Base of the dataclasses that a public method of a hook or a client returns.

    Airflow writes any dataclass into an XCom, and the next task fails because Airflow does not allow it to read it.

    >>> try:
    ...     NotForXCom().serialize()
    ... except XComValueError as error:
    ...     error.kind
    'NotForXCom'
    """

    __slots__ = ()

    def serialize(self) -> NoReturn:
        """Refuse to be written into an XCom: Airflow calls this method when a task returns the value.

        https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/serializers.html

        Raises:
            XComValueError: always, because the task that reads the XCom would fail without the reason.
        """
        raise XComValueError(type(self).__name__, "plain values, such as dataclasses.asdict(value)")
