"""Find the header that an S3 endpoint refuses: by its response, else by a test with a scratch object."""

from __future__ import annotations

import errno
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_amplitude_segment.core.ledger.store_response import Refused, StoreResponse

# From botocore 1.36 on (https://github.com/boto/boto3/issues/4392).
_REASONS: dict[Refused, str] = {
    "checksum": "it refuses the checksum headers that newer AWS libraries send",
    "condition": (
        "it refuses the condition If-None-Match of a put, so it cannot create an object only where none is, and two "
        "runs could claim one cohort at once"
    ),
}
_ADVICE: dict[Refused, str] = {
    "checksum": (
        "Set the environment variable AWS_REQUEST_CHECKSUM_CALCULATION=when_required on every worker "
        "(docs/reference/configuration.md, Object stores)."
    ),
    "condition": (
        "This store cannot hold a ledger: choose one that can (docs/reference/configuration.md, Object stores)."
    ),
}
_S3 = frozenset({"s3", "s3a", "s3n"})


class HeaderRefusedError(OSError):
    """``ENOTSUP``: an endpoint refuses a header of a put.

    Attributes:
        advice: what to do, in a sentence.
    """

    def __init__(self, refused: Refused, response: StoreResponse) -> None:
        super().__init__(errno.ENOTSUP, f"{_REASONS[refused]} ({response})")
        self.advice = _ADVICE[refused]


def find_refused(fs: Any, folder: str, response: StoreResponse, *, is_conditional: bool) -> HeaderRefusedError | None:
    """Return the error for the header that an S3 endpoint refuses; ``None`` where it refuses none that we send.

    Args:
        fs: the fsspec file system.
        folder: where a scratch object is put and removed, if the response does not name the header.
        response: to a put.
        is_conditional: whether that put had a condition.
    """
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}
    if _S3.isdisjoint(protocols):
        return None
    refused = response.refused
    if refused is None and response.may_refuse_a_header:
        refused = _try_out(fs, f"{folder}/.scratch-{secrets.token_hex(8)}", is_conditional=is_conditional)
    return HeaderRefusedError(refused, response) if refused else None


def _try_out(fs: Any, scratch: str, *, is_conditional: bool) -> Refused | None:
    """Put an object without one header at a time; the header that makes the difference is refused."""
    if not _takes(fs, scratch):
        return "checksum" if _takes(_without_checksum(fs), scratch) else None
    return "condition" if is_conditional and not _takes(fs, f"{scratch}-2", mode="create") else None


def _takes(fs: Any, path: str, **mode: str) -> bool:
    try:
        fs.pipe_file(path, b"{}", **mode)
    except Exception:  # noqa: BLE001 - any library's error means that the put failed
        return False
    # If it stays, nothing reads its two bytes.
    with suppress(Exception):
        fs.rm_file(path)
    return True


def _without_checksum(fs: Any) -> Any:
    config = {**(fs.storage_options.get("config_kwargs") or {}), "request_checksum_calculation": "when_required"}
    options = {**fs.storage_options, "config_kwargs": config, "skip_instance_cache": True}
    return type(fs)(*fs.storage_args, **options)
