"""JSON bodies of the sandbox's own calls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body, an empty one as an empty object.

    Raises:
        HTTPException: 400, for any other JSON.
    """
    try:
        content = json.loads(await request.body() or b"{}")
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return content


def whole_number(arguments: dict[str, Any], name: str, default: int = 0) -> int:
    """Return an argument.

    Raises:
        HTTPException: 400, where it is no whole number.
    """
    number = arguments.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool):
        raise HTTPException(400, f"{name} must be a whole number")
    return number
