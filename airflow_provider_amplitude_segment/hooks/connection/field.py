"""What messages call a field of a connection."""

from __future__ import annotations


def setting(conn_id: str, label: str) -> str:
    """Return what a message calls a field of a connection: the label it has in the form.

    >>> setting("segment_default", "Write key")
    "connection 'segment_default', field 'Write key'"
    """
    return f"connection {conn_id!r}, field {label!r}"
