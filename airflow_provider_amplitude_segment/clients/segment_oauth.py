"""Authorize batches with OAuth 2.0: sign an assertion, fetch an access token, and put the write key into the body.

https://www.twilio.com/docs/segment/connections/oauth
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote

import requests

from airflow_provider_amplitude_segment.clients.request import received, send
from airflow_provider_amplitude_segment.core.delivery.access_token import AccessTokens, OAuthApp
from airflow_provider_amplitude_segment.core.delivery.oauth_assertion import TOKEN_PATH, token_form
from airflow_provider_amplitude_segment.core.delivery.response import Unreachable
from airflow_provider_amplitude_segment.core.delivery.token_response import no_token, read_token_response
from airflow_provider_amplitude_segment.core.http.network_fault import read_fault
from airflow_provider_amplitude_segment.core.not_for_xcom import NotForXCom
from airflow_provider_amplitude_segment.exceptions import SettingError, XComValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from airflow_provider_amplitude_segment.core.clock import Clock, RandomSource
    from airflow_provider_amplitude_segment.core.delivery.token_response import TokenResponse

_TAKES_KEY = "the application's RSA private key as PEM without a password, from BEGIN to END"
_TAKES_FORMAT = (
    "the same key as PEM with -----BEGIN PRIVATE KEY----- (PKCS #8); ssh-keygen -p -m PKCS8 -f <copy of the file> "
    "writes it"
)
_LEAST_BITS = 2048
"""RS256 takes no shorter key: https://www.rfc-editor.org/rfc/rfc7518#section-3.3."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----(.*?)-----END \1-----", re.DOTALL)
_LINE = 64
_FORM = "application/x-www-form-urlencoded"

_SHORTEST_MASKED = 8
"""A shorter last line of a key is no secret by itself, and may be an ordinary word."""


@dataclass(frozen=True, slots=True)
class OAuthKey(NotForXCom):
    """What a connection has of an OAuth application.

    Attributes:
        app_id: Segment's ID of the application.
        key_id: Segment's ID of its public key.
        private_key: PEM, as ``read_pem`` returns it; a secret.
        setting: the private key's field, as messages name it.
    """

    app_id: str
    key_id: str
    private_key: str = field(repr=False)
    setting: str

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the key along.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("OAuthKey", "what it is for, and read the connection in each task")


def read_pem(text: str) -> str | None:
    r"""Return a PEM with its line breaks; ``None`` where a text has none. Of several, a private key goes first.

    Environment variables and URIs often have ``\n`` as two characters, and a form's field has one line only.

    >>> read_pem("-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----\\n")
    '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n'
    >>> read_pem("-----BEGIN PRIVATE KEY----- MI IE -----END PRIVATE KEY-----")
    '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n'
    >>> read_pem("MIIE") is None
    True
    """
    blocks = _BLOCK.findall(text.replace("\\r", "").replace("\\n", "\n"))
    if not blocks:
        return None
    label, body = next((block for block in blocks if "PRIVATE KEY" in block[0]), blocks[0])
    # The headers of an encrypted key stay, so that it is refused as one.
    if ":" not in body:
        packed = "".join(body.split())
        body = "\n".join(["", *(packed[at : at + _LINE] for at in range(0, len(packed), _LINE)), ""])
    return f"-----BEGIN {label}-----{body}-----END {label}-----\n"


def forms_of(private_key: str, pem: str | None) -> list[str]:
    """Return the texts by which a log may show a key: its lines, also as in a URI; the PEM, also with its escapes.

    The lines come first, because Airflow's masker compiles all it knows again with each text.

    Args:
        private_key: as the connection has it.
        pem: of ``read_pem``.
    """
    whole = [private_key.strip(), *([pem.strip()] if pem else [])]
    lines = [line.strip() for text in whole for line in text.replace("\\n", "\n").splitlines()]
    secrets = [line for line in lines if not line.startswith("-----")]
    # A connection's URI has / as it is or encoded.
    forms = [form for line in secrets for form in (line, quote(line), quote(line, safe=""))]
    forms += [form for text in whole for form in (text, json.dumps(text)[1:-1])]
    return [form for form in dict.fromkeys(forms) if len(form) >= _SHORTEST_MASKED]


class _TokenEndpoint:
    """Posts assertions to one token endpoint. The session is used by one thread at a time."""

    def __init__(self, session: requests.Session, base_url: str, timeout_seconds: float, clock: Clock) -> None:
        self._session = session
        self._base_url = base_url
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def request(self, assertion: str) -> TokenResponse:
        """Post an assertion once, and return what the response means, or why none came."""
        try:
            response = send(
                self._session,
                "POST",
                f"{self._base_url}{TOKEN_PATH}",
                timeout_seconds=self._timeout_seconds,
                headers={"Content-Type": _FORM, "Accept": "application/json"},
                body=token_form(assertion),
            )
        except requests.RequestException as error:
            fault = read_fault(error, "token")
            if fault.is_lasting:
                return Unreachable(f"no access token: {fault.reason}", fault.advice)
            return no_token(fault.reason, fault.advice)
        return read_token_response(received(response), now=self._clock.now())

    def close(self) -> None:
        self._session.close()


class SegmentOAuth:
    """The access tokens of a connection's OAuth application, and its write key as a member of a body.

    Args:
        key: of the application.
        write_key: of the source.
        session: Reaches the token endpoint, and adds no authentication.
        base_url: Scheme and host of the token endpoint, without a slash at its end.
        timeout_seconds: Longest silence of the token endpoint.
        clock: Time.
        random_source: IDs of assertions.

    Attributes:
        tokens: shared by the senders of a task.
        body_start: how each body begins instead of with a brace.

    Raises:
        SettingError: The private key cannot be used, or the package that signs is missing.
    """

    def __init__(
        self,
        key: OAuthKey,
        write_key: str,
        session: requests.Session,
        base_url: str,
        timeout_seconds: float,
        *,
        clock: Clock,
        random_source: RandomSource,
    ) -> None:
        self._endpoint = _TokenEndpoint(session, base_url, timeout_seconds, clock)
        app = OAuthApp(key.app_id, base_url)
        self.tokens = AccessTokens(app, _signer(key), self._endpoint.request, clock, random_source)
        self.body_start = f'{{"writeKey":{json.dumps(write_key)},'.encode()

    def __getstate__(self) -> NoReturn:
        """Refuse to be pickled or copied, which would carry the keys along.

        Raises:
            XComValueError: Always.
        """
        raise XComValueError("SegmentOAuth", "what it read, and take a client from the hook in each task")

    def close(self) -> None:
        """Close the connections to the token endpoint."""
        self._endpoint.close()


def _signer(key: OAuthKey) -> Callable[[Mapping[str, Any]], str]:
    """Return what signs an assertion with RS256.

    Raises:
        SettingError: The key cannot be used, or the package that signs is missing.
    """
    try:
        import jwt  # noqa: PLC0415 - the extra `oauth` installs it
        from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415, F401
    except ImportError:
        raise SettingError(
            key.setting,
            "OAuth needs the Python packages PyJWT and cryptography, and one is missing on this worker",
            "the extra oauth on every worker (pip install 'airflow-provider-amplitude-segment[oauth]')",
        ) from None
    private_key = _load(key)

    def sign(claims: Mapping[str, Any]) -> str:
        return jwt.encode(dict(claims), private_key, algorithm="RS256", headers={"kid": key.key_id})

    return sign


def _load(key: OAuthKey) -> RSAPrivateKey:
    """Return a private key; an exception of the library is not passed on, because its text is not ours.

    Raises:
        SettingError: It is none, is encrypted, is public, is of another kind or is too short.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    label = key.private_key.partition("-----BEGIN ")[2].partition("-----")[0]
    if "PUBLIC KEY" in label or "CERTIFICATE" in label:
        raise SettingError(key.setting, "it is a public key or a certificate, not a private key", _TAKES_KEY)
    if "ENCRYPTED" in label or "ENCRYPTED" in key.private_key:
        raise SettingError(key.setting, "it is encrypted with a password", _TAKES_KEY)
    if "OPENSSH" in label:
        raise SettingError(key.setting, "it is in the format of OpenSSH", _TAKES_FORMAT)
    try:
        loaded = load_pem_private_key(key.private_key.encode(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise SettingError(key.setting, "it cannot be read as a private key", _TAKES_KEY) from None
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise SettingError(key.setting, "it is not an RSA key, and Segment takes no other", _TAKES_KEY)
    if loaded.key_size < _LEAST_BITS:
        problem = f"it has {loaded.key_size:,} bits, and a signature needs {_LEAST_BITS:,}"
        raise SettingError(key.setting, problem, f"an RSA private key of at least {_LEAST_BITS:,} bits as PEM")
    return loaded
