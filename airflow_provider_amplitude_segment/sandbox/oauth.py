"""The OAuth applications of the stand-in workspace, and the tokens that they were given."""

from __future__ import annotations

import math
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from jwt.types import Options

GRANT_TYPE = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPE = "tracking_api:write"
LONGEST_ASSERTION_SECONDS = 60
"""The documents say less than 60, and their own example and Segment's SDKs write 60."""
EXPIRES_IN = 86_400
_KEY_BITS = 2048
_KEYS_AN_APPLICATION = 2


class OAuthErrorResponse(Exception):  # noqa: N818 - a response of Segment, not a failure of the sandbox
    """The token endpoint gives no token."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


@dataclass(frozen=True, slots=True)
class OAuthApp:
    """An application with a key pair made for a test."""

    app_id: str
    key_id: str
    private_key_pem: str = field(repr=False)
    public_key_pem: str = field(repr=False)


class SandboxOAuth:
    """The token endpoint's memory."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Delete applications and tokens, and set everything to what it was at the start."""
        with self._lock:
            self.expires_in: int = EXPIRES_IN
            """Seconds that a token is valid, as the response says."""
            self.clock_ahead_seconds: float = 0.0
            """How far Segment's clock is ahead of the sandbox's; the ``Date`` header and the checks follow it."""
            self.tokens_issued = 0
            self._apps: dict[str, dict[str, Any]] = {}
            self._seen: set[str] = set()
            self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def now(self) -> float:
        """Segment's time, epoch seconds."""
        return self._clock() + self.clock_ahead_seconds

    def add_app(self, app_id: str, key_id: str, public_key_pem: str) -> None:
        """Register an application's public key; an application has one or two.

        Raises:
            ValueError: the text is no public key in PEM, or a third key.
        """
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - only here

        key = load_pem_public_key(public_key_pem.encode())
        with self._lock:
            keys = self._apps.setdefault(app_id, {})
            if key_id not in keys and len(keys) >= _KEYS_AN_APPLICATION:
                raise ValueError(f"an OAuth application has at most {_KEYS_AN_APPLICATION} keys")
            keys[key_id] = key

    def new_app(self, app_id: str = "sbxOAuthApp000000001", key_id: str = "sbxKey1") -> OAuthApp:
        """Make a key pair, register its public key, and return both."""
        from cryptography.hazmat.primitives import serialization as as_text  # noqa: PLC0415 - only here
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

        private = rsa.generate_private_key(public_exponent=65_537, key_size=_KEY_BITS)
        pem = private.private_bytes(as_text.Encoding.PEM, as_text.PrivateFormat.PKCS8, as_text.NoEncryption())
        public = private.public_key().public_bytes(as_text.Encoding.PEM, as_text.PublicFormat.SubjectPublicKeyInfo)
        app = OAuthApp(app_id, key_id, pem.decode(), public.decode())
        self.add_app(app_id, key_id, app.public_key_pem)
        return app

    def issue(self, form: dict[str, str], audience: str) -> dict[str, Any]:
        """Return the token response to a form.

        Raises:
            OAuthErrorResponse: Segment's refusal.
        """
        if form.get("grant_type") != GRANT_TYPE:
            raise OAuthErrorResponse("unsupported_grant_type", "grant_type must be client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthErrorResponse("invalid_request", "client_assertion_type must be jwt-bearer")
        if SCOPE not in form.get("scope", "").split():
            raise OAuthErrorResponse("invalid_scope", f"scope must have {SCOPE}")
        with self._lock:
            app_id = self._verify(form.get("client_assertion", ""), audience)
            token = secrets.token_urlsafe(48)
            self._tokens[token] = app_id, self.now + self.expires_in
            self.tokens_issued += 1
        return {"access_token": token, "token_type": "Bearer", "scope": SCOPE, "expires_in": self.expires_in}

    def revoke(self) -> None:
        """Make all tokens invalid that were issued so far."""
        with self._lock:
            self._tokens.clear()

    def application_of(self, token: str) -> str | None:
        """Return the ID of the application that a token was issued to; ``None`` for an expired or another token."""
        with self._lock:
            app_id, expires = self._tokens.get(token, ("", 0.0))
            return app_id if expires > self.now else None

    def _verify(self, assertion: str, audience: str) -> str:
        """Return the ID of the application that signed an assertion."""
        import jwt  # noqa: PLC0415 - what only the token endpoint needs

        try:
            header = jwt.get_unverified_header(assertion)
            claimed = jwt.decode(assertion, options={"verify_signature": False})
            key = self._apps.get(str(claimed.get("sub")), {}).get(str(header.get("kid")))
            # connections/oauth.md: the issuer is the authorization server. Segment's SDKs write the application's ID.
            if key is None or claimed.get("iss", audience) not in (audience, claimed["sub"]):
                raise OAuthErrorResponse("invalid_client", "Client authentication failed", 401)
            # The time is checked below, by the sandbox's clock.
            options: Options = {
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "require": ["exp", "iat", "aud", "sub", "jti"],
            }
            claims = jwt.decode(assertion, key, algorithms=["RS256"], audience=audience, options=options)
        except jwt.InvalidSignatureError:
            raise OAuthErrorResponse("invalid_client", "Client authentication failed", 401) from None
        except jwt.PyJWTError as error:
            raise OAuthErrorResponse("invalid_request", f"The assertion is not valid: {error}") from None
        self._check_times(claims)
        identifier = claims["jti"]
        if not isinstance(identifier, str) or not identifier:
            raise OAuthErrorResponse("invalid_request", "The assertion's jti must be a text")
        if identifier in self._seen:
            raise OAuthErrorResponse("invalid_request", "The assertion's jti was used before")
        self._seen.add(identifier)
        return str(claims["sub"])

    def _check_times(self, claims: dict[str, Any]) -> None:
        issued, expires = _seconds(claims, "iat"), _seconds(claims, "exp")
        if expires <= self.now:
            raise OAuthErrorResponse("invalid_request", "Token is expired")
        if max(issued, _seconds(claims, "nbf") if "nbf" in claims else issued) > self.now:
            raise OAuthErrorResponse("invalid_request", "Token used before issued")
        if expires - issued > LONGEST_ASSERTION_SECONDS:
            raise OAuthErrorResponse("invalid_request", "The assertion is valid for more than 60 seconds")


def _seconds(claims: dict[str, Any], claim: str) -> float:
    value = claims[claim]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OAuthErrorResponse("invalid_request", f"The assertion's {claim} must be a number")
    return float(value)
