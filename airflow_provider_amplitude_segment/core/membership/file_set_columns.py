"""The columns of a cohort file, found by name: Amplitude's ID, the user ID, and user properties.

The documents name the columns ``amplitudeID`` and ``userID``; samples have ``amplitude_id`` and ``user_id``, in any
order. A portfolio project's file has a column for each source app, and how these are named is not documented: a column
counts if it has the property's name, or that and the app in parentheses
(https://amplitude.com/docs/data/destination-catalog/amazon-s3-cohort).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_provider_amplitude_segment.core.membership.csv_file import plain_names
from airflow_provider_amplitude_segment.exceptions import ExportFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_amplitude_segment.core.membership.csv_file import CsvFile

_AMPLITUDE_ID, _USER_ID = "amplitudeid", "userid"


def amplitude_id_column(names: Sequence[str]) -> int:
    """Return the column of Amplitude's ID: the first one of that name, because its own columns come first.

    Raises:
        ExportFileError: there is none.

    >>> [amplitude_id_column(names) for names in (["amplitudeID", "userID"], ["user_id", "Amplitude ID"])]
    [0, 1]
    """
    return _first(names, _AMPLITUDE_ID, "amplitudeID")


def file_user_id_column(names: Sequence[str]) -> int:
    """Return the column of user IDs: the first one of that name.

    Raises:
        ExportFileError: there is none.

    >>> file_user_id_column(["amplitude_id", "user_id", "amplitude_id", "name"])
    1
    """
    return _first(names, _USER_ID, "userID")


def property_text(file: CsvFile, name: str) -> str:
    """Return the SQL expression of a user property's text: of several columns, the first that has a value.

    Raises:
        ExportFileError: there is none.
    """
    columns = property_columns(file.names, name)
    if not columns:
        own = {_AMPLITUDE_ID, _USER_ID}
        others = ", ".join(found for found in plain_names(file.names) if _plain(found) not in own)
        raise ExportFileError(f"no column for the user property {name!r}; its properties are: {others or 'none'}")
    texts = (f"nullif({file.text_of(column)}, '')" for column in columns)
    return f"coalesce({', '.join(texts)})"


def property_columns(names: Sequence[str], name: str) -> list[int]:
    """Return the columns of a user property, of which a portfolio project has one for each source app.

    A column with the app's name counts only where none has the property's name alone, because ``plan (old)`` may be a
    property of its own.

    >>> property_columns(["userID", "plan", "plan"], "plan"), property_columns(["plan (App A)", "plan (App B)"], "plan")
    ([1, 2], [0, 1])
    >>> property_columns(["plan", "plan (old)"], "plan"), property_columns(["plan (old)"], "plan (old)")
    ([0], [0])
    """
    found = plain_names(names)
    exact = [index for index, column in enumerate(found) if column == name]
    return exact or [i for i, column in enumerate(found) if column.startswith(f"{name} (") and column.endswith(")")]


def _first(names: Sequence[str], wanted: str, documented: str) -> int:
    found = [_plain(name) for name in plain_names(names)]
    if wanted not in found:
        raise ExportFileError(f"no column {documented}, under any spelling")
    return found.index(wanted)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
