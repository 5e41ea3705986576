"""Turn a state path, as text, into the root that ``LedgerStore`` takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_amplitude_segment.clients.store_failure import opening_error
from airflow_provider_amplitude_segment.exceptions import SettingError, StatePathError
from airflow_provider_amplitude_segment.hooks.connection.pasted_url import suggest_place

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.clients.ledger_store import ObjectRoot, Root

_TAKES = "an absolute path, file:///path, s3://connection@bucket/…, gs://… or abfs://…"

_LOCAL_SCHEMES = frozenset({"file", "local"})
"""Names of the worker's own file system, where only the owner can read the ledgers' files."""

_BUCKET_STORES = frozenset({"s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "az", "adl"})
"""Stores whose libraries create an object only where none is. Others could let two runs claim one cohort at once."""

_WEB_SCHEMES = frozenset({"http", "https", "arn"})
_SCHEMES = _LOCAL_SCHEMES | _BUCKET_STORES | _WEB_SCHEMES

# https://www.rfc-editor.org/rfc/rfc8089#section-2: both mean this machine.
_OWN_HOSTS = frozenset({"", "localhost"})


def open_state_root(place: str) -> Root:
    """Return the root of all ledgers, without reading or writing there.

    :param place: an absolute path, or a URL.
    :raises SettingError: the place is neither, or a URL with a password, with a query, without a bucket, or of a store
        that is not supported.
    :raises StatePathError: no file system is installed for the URL, or its connection cannot be used. It is a
        ``StateUnavailableError`` where its credentials could not be fetched, which is transient.
    """
    return local_path(place) or open_object_root(place)


def local_path(place: str) -> Path | None:
    """Return the path of a place on the worker's own file system; ``None`` for any other place.

    A ``file`` URL is percent-encoded, with no host or localhost: https://www.rfc-editor.org/rfc/rfc8089.

    :param place: an absolute path, or a URL.
    :raises SettingError: a relative path, a password in it, or a ``file`` URL of another machine; says what to set.

    >>> local_path("file:///my%20ledger") == local_path("file://localhost/my%20ledger") == Path("/my ledger")
    True
    >>> local_path("/var/100%") == Path("/var/100%"), local_path("file:/var/ledger") == Path("/var/ledger")
    (True, True)
    >>> local_path("s3://bucket/state") is None
    True
    """
    scheme, rest = _scheme_of(place)
    if scheme in _LOCAL_SCHEMES:
        return _path_of_url(place, rest)
    if scheme:
        return None
    path = Path(place)
    if not path.is_absolute():
        _refuse_password(place)
        raise SettingError("state_path", f"got the relative path {place!r}", _TAKES)
    return path


def _scheme_of(place: str) -> tuple[str, str]:
    """Return a URL's scheme in lower case and the text after its colon; an empty scheme for a path.

    >>> _scheme_of("S3://bucket/state"), _scheme_of("file:/var/ledger"), _scheme_of("a:b/c")
    (('s3', '//bucket/state'), ('file', '/var/ledger'), ('', 'a:b/c'))
    """
    scheme, colon, rest = place.partition(":")
    scheme = scheme.lower()
    is_url = colon and "/" not in scheme and (rest.startswith("//") or scheme in _SCHEMES)
    return (scheme, rest) if is_url else ("", place)


def _path_of_url(url: str, rest: str) -> Path:
    _refuse_password(url)
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, below = rest[2:].partition("/")
        path = f"{slash}{below}"
    if host.lower() not in _OWN_HOSTS:
        takes = f"file:///{host}{path}, if that is the path; a network share by the path that it is mounted at"
        raise SettingError("state_path", f"got {url!r}, a file on another machine named {host!r}", takes)
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        decoded = ""
    if not decoded.startswith("/") or "\0" in decoded or "?" in path or "#" in path:
        raise SettingError("state_path", f"got {url!r}, which is not a URL of a file", "file:///path, percent-encoded")
    return Path(decoded)


def _refuse_password(text: str) -> None:
    """Refuse ``s3://key:secret@bucket``, because the UI, logs and errors show the parameter."""
    user_info, at, _ = text.rpartition("://")[2].partition("@")
    if at and ":" in user_info:
        raise SettingError(
            "state_path", "got a URL with a password in it", "the ID of a connection there, s3://connection@bucket/…"
        )


def _refuse_unusable(url: str, scheme: str, rest: str, *, any_store: bool) -> None:
    """Refuse a URL of no bucket store, or with missing or too many parts; the error says what to set."""
    # The query is left out of messages, because a presigned URL's query is a key.
    shown = re.split(r"[?#]", url, maxsplit=1)[0]
    if scheme in _WEB_SCHEMES:
        takes = suggest_place(url) or "s3://<connection ID>@<bucket>/<path>, with the endpoint in that connection"
        raise SettingError("state_path", f"got {shown!r}, an address for browsers", takes)
    if scheme not in _BUCKET_STORES and not any_store:
        problem = f"got {shown!r}, and {scheme}:// is none of the stores that this package can claim a cohort in safely"
        raise SettingError("state_path", problem, f"{_TAKES}. Mount other places, and give the path")
    if not rest.startswith("//"):
        takes = f"{scheme}://{rest.strip('/')}"
        raise SettingError("state_path", f"got {shown!r}, where slashes are missing", takes)
    if shown != url:
        problem = f"got {shown!r} with a query or a fragment, which would become a part of the name"
        raise SettingError("state_path", problem, f"{shown}, and options in Extra of the connection")
    if not rest[2:].partition("/")[0].rpartition("@")[2]:
        raise SettingError("state_path", f"got {url!r}, which names no bucket", _TAKES)


def open_object_root(url: str, *, any_store: bool = False) -> Root:
    """Return the root of a URL of a store, without reading or writing there.

    :param url: of the folder.
    :param any_store: also of a store in which no cohort can be claimed; it is only read.
    :raises SettingError: as ``open_state_root``.
    :raises StatePathError: as ``open_state_root``.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, ObjectStoragePath  # noqa: PLC0415 - as above

    _refuse_password(url)
    scheme, rest = _scheme_of(url)
    _refuse_unusable(url, scheme, rest, any_store=any_store)
    try:
        root: ObjectRoot = ObjectStoragePath(f"{scheme}:{rest}")
        # Look up the file system now, before any request is sent, not at its first use.
        root.fs  # noqa: B018
    except AirflowNotFoundException as error:
        raise StatePathError(url, "the connection it names does not exist") from error
    except Exception as error:
        if _is_not_installed(error):
            advice = "Install this package with the extra for it (s3, gcs, azure) on every worker."
            raise StatePathError(url, f"no file system is installed for {scheme}://", advice) from error
        raise opening_error(error, url) from error
    return root


def _is_not_installed(error: Exception) -> bool:
    """Return whether a file system is missing: by fixed words of Airflow, fsspec and UPath, or a failed import.

    >>> _is_not_installed(ValueError("Protocol not known: ftps")), _is_not_installed(ValueError("Invalid endpoint: a"))
    (True, False)
    """
    said = ("No filesystem registered for scheme", "Protocol not known", "Unsupported filesystem")
    return isinstance(error, ImportError) or (isinstance(error, ValueError) and str(error).startswith(said))
