"""Write what an OAuth application asserts when it asks Segment for an access token.

https://www.twilio.com/docs/segment/connections/oauth, and Segment's own libraries, which agree on the claims:
analytics-python 2.4.0 (oauth_manager.py) and analytics-next ``packages/node`` (token-manager.ts).
"""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

TOKEN_PATH = "/token"  # noqa: S105 - a path
SCOPE = "tracking_api:write"

_GRANT = "client_credentials"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_BACKDATED_SECONDS = 5
"""An assertion is valid from so long ago, as in Segment's libraries, because clocks differ a little."""

_LIFE_SECONDS = 59
"""Segment accepts an assertion of less than 60 seconds."""


def assertion_claims(app_id: str, audience: str, *, now: float, skew: float, random_id: str) -> dict[str, Any]:
    """Return the claims of an assertion, which proves that the sender has the application's private key.

    Args:
        app_id: of the OAuth application.
        audience: scheme and host of the token endpoint, without a slash at its end.
        now: seconds since 1970-01-01 UTC, by this worker's clock.
        skew: by how many seconds this clock is ahead of Segment's.
        random_id: 32 random hexadecimal digits. Segment accepts an assertion once.

    >>> claims = assertion_claims(
    ...     "app1", "https://oauth2.segment.io", now=4_600.9, skew=3_600.0, random_id="0123456789abcdef" * 2
    ... )
    >>> claims["iat"], claims["exp"]
    (995, 1054)
    >>> claims["sub"], claims["iss"], claims["aud"]
    ('app1', 'app1', 'https://oauth2.segment.io')
    >>> claims["jti"]
    '01234567-89ab-cdef-0123-456789abcdef'
    """
    issued_at = int(now - skew - _BACKDATED_SECONDS)
    return {
        "iss": app_id,
        "sub": app_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + _LIFE_SECONDS,
        "jti": str(uuid.UUID(random_id)),
    }


def token_form(assertion: str) -> bytes:
    """Return the body of the request for a token, as a form.

    >>> token_form("a.b.c").decode().split("&")[0], token_form("a.b.c").decode().split("&")[2]
    ('grant_type=client_credentials', 'client_assertion=a.b.c')
    """
    return urlencode(
        {
            "grant_type": _GRANT,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": SCOPE,
        }
    ).encode()
