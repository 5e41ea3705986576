"""Read the JavaScript modules and style sheets of the pages, which hold no data of a user."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}


@cache
def page_files() -> dict[str, tuple[bytes, str]]:
    """Return, by name, the content and the type of each file that may be served.

    A request's name is only looked up here, so no name can reach another folder.
    """
    found: dict[str, tuple[bytes, str]] = {}
    for entry in files("airflow_provider_amplitude_segment.ui").joinpath("pages").iterdir():
        media_type = _TYPES.get(entry.name[entry.name.rfind(".") :]) if "." in entry.name else None
        if media_type is not None and entry.is_file():
            found[entry.name] = (entry.read_bytes(), media_type)
    return found
