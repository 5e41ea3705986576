"""What an object store's error response means: whether a retry can help, and which header the store refuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Refused = Literal["checksum", "condition"]
"""The header of a put that a store refuses: the checksum of newer AWS libraries, or the condition of a claim."""

# By the meaning of HTTP, also where a store names no error:
# 408 time-out, 409 and 412 conflicts, 425 too early, 429 too many requests.
_TRANSIENT_STATUSES = frozenset({408, 409, 412, 425, 429})
_LASTING_STATUSES = frozenset({301, 308, 501, 505})

# Transient though their status is lasting: the body was cut or changed on its way, took too long, or belonged to an
# upload that ended meanwhile; the credentials of the signature expired, and a new process renews them; the credentials
# service (STS) limits the rate, or did not reach the identity provider, both of which are 400 there.
_TRANSIENT_CODES = frozenset(
    {
        "BadDigest",
        "ExpiredToken",
        "IDPCommunicationError",
        "IncompleteBody",
        "InvalidPart",
        "NoSuchUpload",
        "RequestLimitExceeded",
        "RequestTimeout",
        "Throttling",
        "ThrottlingException",
        "TokenRefreshRequired",
    }
)

# The codes of S3 and Azure for an absent object; both have others for an absent bucket or container.
_ABSENT_CODES = frozenset({"NoSuchKey", "BlobNotFound", "PathNotFound", "ResourceNotFound"})

# Over https the checksum follows the body, which is sent in AWS's own chunks.
_CHECKSUM_WORDS = (
    "x-amz-checksum-",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-trailer",
    "x-amz-decoded-content-length",
    "aws-chunked",
    "multichunkedencoding",
    "streaming-unsigned-payload-trailer",
)
_CONDITION = "if-none-match"

# The responses to a header that a store does not know: an unknown argument, a signature that does not match, a missing
# length where the checksum follows the body, or "not implemented".
_STATUSES_OF_HEADERS = frozenset({400, 411, 501})
_CODE_OF_HEADERS = "SignatureDoesNotMatch"


@dataclass(frozen=True, slots=True)
class StoreResponse:
    """An object store's error.

    Attributes:
        status: HTTP status code.
        code: the store's name for it, such as ``NoSuchBucket``; empty where it gives none.
        header: the header that it names as the cause; empty where it names none.
        message: the store's text, which is never shown, because it may hold anything.
    """

    status: int
    code: str = ""
    header: str = ""
    message: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Return status and name, for a reader.

        >>> str(StoreResponse(404, "NoSuchBucket")), str(StoreResponse(501))
        ('NoSuchBucket, HTTP 404', 'HTTP 501')
        """
        return f"{self.code}, HTTP {self.status}" if self.code else f"HTTP {self.status}"

    @property
    def is_lasting(self) -> bool:
        """Whether a retry gets the same response until a person changes something.

        https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList; alike by status at
        https://cloud.google.com/storage/docs/json_api/v1/status-codes and
        https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes.

        >>> statuses = (301, 307, 400, 403, 404, 405, 408, 409, 411, 412, 429, 500, 501, 503)
        >>> [status for status in statuses if StoreResponse(status).is_lasting]
        [301, 400, 403, 404, 405, 411, 501]
        >>> StoreResponse(400, "InvalidArgument").is_lasting, StoreResponse(400, "RequestTimeout").is_lasting
        (True, False)
        """
        if self.code in _TRANSIENT_CODES or self.status in _TRANSIENT_STATUSES:
            return False
        return self.status in _LASTING_STATUSES or 400 <= self.status < 500  # noqa: PLR2004 - HTTP's own numbers

    @property
    def says_absent(self) -> bool:
        """Whether the store's code says that the object is absent.

        >>> StoreResponse(404, "NoSuchKey").says_absent, StoreResponse(404, "NoSuchBucket").says_absent
        (True, False)
        """
        return self.code in _ABSENT_CODES

    @property
    def may_refuse_a_header(self) -> bool:
        """Whether a header that the store does not know can be the cause, by status or code."""
        return self.is_lasting and (self.status in _STATUSES_OF_HEADERS or self.code == _CODE_OF_HEADERS)

    @property
    def refused(self) -> Refused | None:
        """The header that the store says it refuses; ``None`` where it names none.

        S3 names it in ``Header``, others in their text: "Header 'x-amz-checksum-crc32' with value 'AAAA' not
        implemented" (https://github.com/cloudflare/cloudflare-docs/issues/19236), "Unsupported header
        'x-amz-sdk-checksum-algorithm' received for this API call"
        (https://github.com/home-assistant/core/issues/143995).

        >>> StoreResponse(501, "NotImplemented", header="If-None-Match").refused
        'condition'
        >>> StoreResponse(400, "InvalidArgument", message="Unsupported header 'x-amz-sdk-checksum-algorithm'").refused
        'checksum'
        >>> StoreResponse(501, "NotImplemented", message="A header you provided is not implemented").refused is None
        True
        """
        if not self.may_refuse_a_header:
            return None
        text = f"{self.header} {self.message}".lower()
        if _CONDITION in text:
            return "condition"
        return "checksum" if any(word in text for word in _CHECKSUM_WORDS) else None
