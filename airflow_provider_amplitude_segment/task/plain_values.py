"""Parameters as Airflow hands them over after rendering, made plain: text, numbers, lists and dictionaries.

A task's output may be a sequence that is read when it is asked, and a template that keeps Python's objects
(``render_template_as_native_obj=True``) any collection, also one that can be read only once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import SettingError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

# What str() makes of a sequence that was not read, of an iterator, and of a dictionary's parts.
_NOT_READ = re.compile(r"\s*(Lazy\w*Sequence\(.*\)|<.+ at 0x[0-9a-fA-F]+>|dict_\w+\(.*\))\s*", re.DOTALL)


def make_plain(operator: BaseOperator) -> None:
    """Replace each template field by its plain value; do it before any is read, because some can be read only once.

    :param operator: with its fields rendered.
    :raises SettingError: a template made text of a collection before it was read.
    """
    for name in operator.template_fields:
        value = plain(getattr(operator, name))
        if isinstance(value, str) and _NOT_READ.fullmatch(value):
            problem = f"got the text {value.strip()[:60]!r}, which a template made of a list before the list was read"
            raise SettingError(name, problem, f"the task's output itself ({name}=task.output), or a template | list")
        setattr(operator, name, value)


def plain(value: object) -> Any:
    """Return a value with each collection in it as a list or a dictionary; what is none is returned as it is.

    A set has no order, so its list is sorted. A ``Decimal``, which Airflow carries between tasks, is read as a float.

    >>> plain(("a", {"c", "b"})), plain({"groups": range(2)}), plain(Decimal("0.5"))
    (['a', ['b', 'c']], {'groups': [0, 1]}, 0.5)
    """
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        # By key: items() of Airflow's Params hands out the Params themselves.
        return {key: plain(value[key]) for key in value}
    items = _items(value)
    return value if items is None else [plain(item) for item in items]


def _items(value: object) -> Iterable[object] | None:
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        return None
    if isinstance(value, Sequence):
        # By number: an iteration over a mapped task's output ends with a question past its end, and Airflow 3 logs an
        # error for it.
        return (value[number] for number in range(len(value)))
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else value
