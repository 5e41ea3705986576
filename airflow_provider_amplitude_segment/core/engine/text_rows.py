"""Read a query's one column of text as Arrow: many rows in one buffer, without a Python object for each.

To fetch two million messages as Python objects takes more of the processor than to make them (ADR 0026).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb
import nanoarrow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nanoarrow.c_array import CArray

_TEXT = "u"
"""Arrow's format of UTF-8 with 32-bit offsets (https://arrow.apache.org/docs/format/CDataInterface.html)."""


class TextRows(NamedTuple):
    """Consecutive rows.

    Attributes:
        text: in UTF-8, one row after the other.
        offsets: where in ``text`` each row begins, and where the last one ends; one more than there are rows.
    """

    text: bytes
    offsets: Sequence[int]


def text_rows(
    engine: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, str | bool | int]
) -> Iterator[TextRows]:
    """Yield the rows of a query with one column of text, in its order, some thousand at a time.

    Args:
        engine: a DuckDB connection that nothing else uses meanwhile.
        query: its column has no NULL.
        parameters: of the query, by name.

    Raises:
        duckdb.Error: the query failed.
    """
    rows = engine.sql(query, params=dict(parameters))
    try:
        stream = nanoarrow.c_array_stream(rows)
        if stream.get_schema().child(0).format != _TEXT:
            raise duckdb.NotSupportedError("the column is no text with 32-bit offsets")
        # Not in a loop of its own, whose variable would keep Arrow's buffers beside their copy.
        yield from map(_copied, stream)
    except RuntimeError as error:
        # nanoarrow passes on only the text of DuckDB's error.
        kind = duckdb.IOException if "IO Error" in str(error) else duckdb.Error
        raise kind(str(error)) from None


def _copied(rows: CArray) -> TextRows:
    # A copy, because the buffers of nanoarrow do not keep in memory what they show; the names here do.
    view = rows.view()
    column = view.child(0)
    _, offsets, text = (memoryview(column.buffer(number)) for number in range(3))
    return TextRows(bytes(text), memoryview(bytes(offsets)).cast("i"))
