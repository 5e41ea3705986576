"""A Segment whose source demands OAuth: a token endpoint that verifies assertions with PyJWT, and a Tracking API."""

from __future__ import annotations

import functools
import json
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from fakes.recording_server import Came, CannedResponse, RecordingServer

if TYPE_CHECKING:
    from collections.abc import Callable

APP_ID = "app-4711"
KEY_ID = "key-0815"
WRITE_KEY = "write-key-0123456789"


def pem_of(key: Any, password: str | None = None, layout: str = "PKCS8") -> str:
    """A private key as PEM."""
    encryption = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    private_format = getattr(serialization.PrivateFormat, layout)
    return key.private_bytes(serialization.Encoding.PEM, private_format, encryption).decode()


@functools.cache
def private_key() -> str:
    """The application's private key, made once a process because that takes a while."""
    return pem_of(rsa.generate_private_key(public_exponent=65_537, key_size=2048))


def public_key_of(pem: str) -> str:
    key = serialization.load_pem_private_key(pem.encode(), password=None).public_key()
    layout = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, layout).decode()


class OAuthSegment(RecordingServer):
    """Serves ``/token`` and ``/v1/batch``.

    Attributes:
        ahead: seconds by which its clock is ahead.
        life: ``expires_in`` of a token; ``None`` leaves it out.
        revoked: whether the application gets no token.
        token_script, batch_script: responses given first, instead of the real ones.
        write_key: of the source.
        refused_status: of the response to a token that is none.
        on_token: called while a token is requested.
        claims: of each accepted assertion.
        users: who was identified.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._right_now = now
        self.ahead = 0.0
        self.life: float | None = 86_400.0
        self.revoked = False
        self.poisoned: set[str] = set()
        self.refused_status = 401
        self.write_key = WRITE_KEY
        self.token_script: list[CannedResponse] = []
        self.batch_script: list[CannedResponse] = []
        self.on_token: Callable[[], None] = lambda: None
        self.claims: list[dict[str, Any]] = []
        self.users: set[str] = set()
        self._tokens: dict[str, float] = {}
        self._served = threading.RLock()

    def now(self) -> float:
        return self._right_now() + self.ahead

    def extra(self, **others: Any) -> dict[str, Any]:
        """Extra of a connection to it."""
        mine = {"oauth_app_id": APP_ID, "oauth_key_id": KEY_ID, "oauth_private_key": private_key()}
        return {**mine, "oauth_host": self.url, **others}

    def connection(self, **others: Any) -> dict[str, Any]:
        """The fields of a connection to it."""
        return {"conn_type": "segmentio", "password": WRITE_KEY, "host": self.url, "extra": self.extra(**others)}

    def drop_tokens(self) -> None:
        with self._served:
            self._tokens.clear()

    @property
    def token_requests(self) -> int:
        return sum(came.path == "/token" for came in self.came)

    @property
    def tokens(self) -> set[str]:
        return {*self._tokens}

    def _respond(self, came: Came) -> CannedResponse:
        with self._served:
            self.came.append(came)
            if came.path == "/token":
                self.on_token()
                return self.token_script.pop(0) if self.token_script else self._issue(came)
            if came.path == "/v1/batch":
                return self.batch_script.pop(0) if self.batch_script else self._take(came)
            return CannedResponse(404)

    def _issue(self, came: Came) -> CannedResponse:
        form = {name: values[0] for name, values in parse_qs(came.body.decode(), strict_parsing=True).items()}
        assert came.headers["content-type"] == "application/x-www-form-urlencoded"
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assert form["scope"] == "tracking_api:write"
        assertion = form["client_assertion"]
        if self.revoked:
            return _error(401, "invalid_client", f"revoked: {assertion}")
        unchecked = {"verify_exp": False, "verify_iat": False}
        claims = jwt.decode(
            assertion,
            public_key_of(private_key()),
            algorithms=["RS256"],
            audience=self.url,
            issuer=APP_ID,
            options={"require": ["iss", "sub", "aud", "iat", "exp", "jti"], **unchecked},
        )
        assert jwt.get_unverified_header(assertion)["kid"] == KEY_ID
        assert 0 < claims["exp"] - claims["iat"] < 60
        if claims["exp"] <= self.now():
            return _error(400, "invalid_request", "Token is expired")
        if claims["iat"] > self.now():
            return _error(400, "invalid_request", "Token used before issued")
        assert claims["jti"] not in {earlier["jti"] for earlier in self.claims}
        self.claims.append(claims)
        token = f"tok-{len(self.claims):04d}-{claims['jti']}"
        self._tokens[token] = self.now() + (self.life or 60)
        fields = {"access_token": token, "token_type": "Bearer", "scope": "tracking_api:write"}
        return CannedResponse(
            body=json.dumps(fields | ({} if self.life is None else {"expires_in": self.life})).encode()
        )

    def _take(self, came: Came) -> CannedResponse:
        scheme, _, token = came.headers.get("authorization", "").partition(" ")
        body = json.loads(came.body)
        if scheme != "Bearer" or self._tokens.get(token, 0) <= self.now() or body.get("writeKey") != self.write_key:
            return CannedResponse(self.refused_status)
        users = {message["userId"] for message in body["batch"]}
        if users & self.poisoned:
            return CannedResponse(400, body=b'{"success": false, "message": "invalid"}')
        self.users |= users
        return CannedResponse(body=b'{"success": true}')


def _error(status: int, error: str, description: str) -> CannedResponse:
    return CannedResponse(status, body=json.dumps({"error": error, "error_description": description}).encode())
