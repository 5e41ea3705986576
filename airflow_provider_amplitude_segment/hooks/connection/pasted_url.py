"""Recognize URLs that are pasted from a browser or a document, and suggest the right value."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

# The calls of Segment's Tracking API and Profile API, and of Amplitude's Cohorts API, as their documents show them:
# https://www.twilio.com/docs/segment/connections/sources/catalog/libraries/server/http-api
# https://www.twilio.com/docs/segment/unify/profile-api
# https://amplitude.com/docs/apis/analytics/behavioral-cohorts
_CALL = re.compile(
    r"(?P<before>.*?)"
    r"(?:/v1/(?:b|batch|i|import|identify|t|track|p|page|s|screen|g|group|a|alias|spaces)|/api/\d+)"
    r"(?:/.*)?"
)

_S3_HOST = re.compile(r"(?:(?P<bucket>.+)\.)?s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.com(?:\.cn)?")
_S3_CONSOLE = re.compile(r"(?:.+\.)?console\.(?:aws\.amazon\.com|amazonaws\.cn)")
_S3_CONSOLE_PATH = re.compile(r"/s3/(?:buckets|object)/(?P<bucket>[^/]+)")
_GOOGLE_HOSTS = frozenset({"storage.googleapis.com", "storage.cloud.google.com"})
_GOOGLE_CONSOLE_PATH = re.compile(r"/storage/browser/(?:_details/)?(?P<place>[^;]+)")
_AZURE_HOST = re.compile(r".+\.(?:blob|dfs)\.core\.windows\.net")
_S3_NAME = re.compile(r"arn:aws[a-z-]*:s3:::(?P<place>.+)", re.IGNORECASE)


def before_call(path: str) -> str | None:
    """Return the part of a URL's path before the call of an API; ``None`` where the path has no call.

    >>> before_call("/v1/batch"), before_call("/segment/v1/identify/"), before_call("/api/5/cohorts/request/26umsb5")
    ('', '/segment', '')
    >>> before_call("/segment"), before_call("/v1")
    (None, None)
    >>> before_call("/v1/spaces/lgJ4AAjFN4/collections/users/profiles")
    ''
    """
    match = _CALL.fullmatch(path)
    return match["before"] if match else None


def suggest_place(url: str) -> str | None:
    """Return the URL of the object store that a web address or an ARN means; ``None`` for any other.

    >>> suggest_place("https://my-bucket.s3.eu-central-1.amazonaws.com/a/b")
    's3://<connection ID>@my-bucket/a/b'
    >>> suggest_place("https://eu-west-1.console.aws.amazon.com/s3/buckets/my-bucket?region=eu-west-1&prefix=a/b/")
    's3://<connection ID>@my-bucket/a/b'
    >>> suggest_place("arn:aws:s3:::my-bucket/a"), suggest_place("https://storage.cloud.google.com/my-bucket")
    ('s3://<connection ID>@my-bucket/a', 'gs://<connection ID>@my-bucket')
    >>> suggest_place("https://account.blob.core.windows.net/container/a")
    'abfs://<connection ID>@container/a'
    >>> suggest_place("https://example.com/a") is None
    True
    """
    if name := _S3_NAME.fullmatch(url):
        return _place("s3", name["place"])
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    path = unquote(parts.path)
    if place := _on_amazon(host, path, parts.query):
        return _place("s3", place)
    if place := _on_google(host, path):
        return _place("gs", place)
    return _place("abfs", path) if _AZURE_HOST.fullmatch(host) else None


def _on_amazon(host: str, path: str, query: str) -> str | None:
    if match := _S3_HOST.fullmatch(host):
        return f"{match['bucket']}{path}" if match["bucket"] else path
    match = _S3_CONSOLE_PATH.match(path) if _S3_CONSOLE.fullmatch(host) else None
    return f"{match['bucket']}/{parse_qs(query).get('prefix', [''])[0]}" if match else None


def _on_google(host: str, path: str) -> str | None:
    if host in _GOOGLE_HOSTS:
        return path
    match = _GOOGLE_CONSOLE_PATH.match(path) if host == "console.cloud.google.com" else None
    return match["place"] if match else None


def _place(scheme: str, place: str) -> str | None:
    return f"{scheme}://<connection ID>@{place.strip('/')}" if place.strip("/") else None
