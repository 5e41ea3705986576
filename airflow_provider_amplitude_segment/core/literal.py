"""A text as an SQL literal, where it cannot be a bound parameter: DuckDB binds none in a view."""


def literal(text: str) -> str:
    """Quote a text as an SQL string. A file's path goes through ``core.engine_file`` instead.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
