"""JSON answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


def as_json(content: Any, status: int = 200) -> Response:
    """Answer JSON in ASCII, so that a user ID with half a surrogate pair can be told too."""
    return Response(json.dumps(content), status, media_type="application/json")
