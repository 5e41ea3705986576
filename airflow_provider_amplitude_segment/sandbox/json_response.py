"""JSON responses."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


def as_json(content: Any, status: int = 200) -> Response:
    """Return a JSON response in ASCII, because UTF-8 cannot encode a user ID with half a surrogate pair."""
    return Response(json.dumps(content), status, media_type="application/json")
