"""Convert rendered parameters to plain values: text, numbers, lists and dictionaries.

A task's output may be a lazy sequence. A template that keeps Python's objects (``render_template_as_native_obj=True``)
may give any collection, also one that can be read only once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.exceptions import SettingError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

# The texts that str() makes of a lazy sequence, of an iterator, and of a dictionary's views.
_NOT_READ = re.compile(r"\s*(Lazy\w*Sequence\(.*\)|<.+ at 0x[0-9a-fA-F]+>|dict_\w+\(.*\))\s*", re.DOTALL)


def make_plain(operator: BaseOperator) -> None:
    """Replace each template field with its plain value.

    Call it before any field is read, because some collections can be read only once.

    :param operator: with its fields rendered.
    :raises SettingError: a template rendered a collection to text before the collection was read.
    """
    for name in operator.template_fields:
        value = plain(getattr(operator, name))
        if isinstance(value, str) and _NOT_READ.fullmatch(value):
            problem = f"got the text {value.strip()[:60]!r}, which a template made of a list before the list was read"
            raise SettingError(name, problem, f"the task's output itself ({name}=task.output), or a template | list")
        setattr(operator, name, value)


def plain(value: object) -> Any:
    """Return a value with each collection in it as a list or a dictionary; return any other value unchanged.

    The list of a set is sorted. A ``Decimal``, which Airflow passes between tasks, becomes a float.

    >>> plain(("a", {"c", "b"})), plain({"groups": range(2)}), plain(Decimal("0.5"))
    (['a', ['b', 'c']], {'groups': [0, 1]}, 0.5)
    """
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        # By key, because items() of Airflow's Params returns the Param objects.
        return {key: plain(value[key]) for key in value}
    items = _items(value)
    return value if items is None else [plain(item) for item in items]


def _items(value: object) -> Iterable[object] | None:
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Iterable):
        return None
    if isinstance(value, Sequence):
        # By index, because an iteration over a mapped task's output requests an item past its end, and Airflow 3 logs
        # an error for that.
        return (value[number] for number in range(len(value)))
    return sorted(value, key=repr) if isinstance(value, set | frozenset) else value
