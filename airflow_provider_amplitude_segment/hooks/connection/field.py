"""The name of a connection's field in messages."""

from __future__ import annotations


def setting(conn_id: str, label: str) -> str:
    """Return the name of a connection's field for messages: with the label that the form shows.

    >>> setting("segment_default", "Write key")
    "connection 'segment_default', field 'Write key'"
    """
    return f"connection {conn_id!r}, field {label!r}"
