"""URLs of pages in Amplitude's and Segment's web applications; no request is sent."""

from __future__ import annotations

import re
from urllib.parse import quote

# https://amplitude.com/docs/session-replay shows https://app.amplitude.com/analytics/<organization>/…; the EU's
# host is that of https://amplitude.com/docs/apis/analytics/behavioral-cohorts, section "Regions".
AMPLITUDE_APPLICATIONS = {"US": "https://app.amplitude.com", "EU": "https://app.eu.amplitude.com"}

# https://www.twilio.com/docs/segment/guides/regional-segment
SEGMENT_APPLICATIONS = {"US": "https://app.segment.com", "EU": "https://eu1.app.segment.com"}

COHORT_PLACEHOLDER = "{cohort_id}"
_WEB_URL = re.compile(r"https?://[\w.-]+(?::\d+)?(?:[/?#]|\Z)", re.IGNORECASE)


def cohort_url(organization: str, region: str, cohort_id: str) -> str | None:
    """Return the URL of a cohort's page; ``None`` where ``organization`` is neither a slug nor a template.

    https://amplitude.com/docs/analytics/behavioral-cohorts and the Dashboard REST API's page show
    ``https://analytics.amplitude.com/<organization>/cohort/<cohort>``, newer pages of other things
    ``https://app.amplitude.com/analytics/<organization>/…``. No document shows a cohort's page with the newer host, so
    a template may be given instead.

    Args:
        organization: The part after ``/analytics/`` in Amplitude's URLs; or a URL with ``{cohort_id}`` in it, which is
            used as it is.
        region: ``US`` or ``EU``; decides the host where only the part is given.
        cohort_id: Amplitude's cohort ID.

    >>> cohort_url("my-org", "US", "26umsb5")
    'https://app.amplitude.com/analytics/my-org/cohort/26umsb5'
    >>> cohort_url("my-org", "EU", "26umsb5")
    'https://app.eu.amplitude.com/analytics/my-org/cohort/26umsb5'
    >>> cohort_url("https://example.com/cohorts?id={cohort_id}", "US", "a b/c")
    'https://example.com/cohorts?id=a%20b%2Fc'
    >>> cohort_url("javascript:{cohort_id}", "US", "26umsb5")
    >>> cohort_url("https://app.amplitude.com/analytics", "US", "26umsb5")
    """
    cohort = quote(cohort_id, safe="")
    if COHORT_PLACEHOLDER in organization:
        # The text becomes a button in a browser, where a URL of another scheme could run a script.
        return organization.replace(COHORT_PLACEHOLDER, cohort) if _WEB_URL.match(organization) else None
    slug = organization.strip("/")
    # A host has a dot, and a URL a colon or a slash.
    if not slug or not {"/", ".", ":"}.isdisjoint(slug):
        return None
    return f"{AMPLITUDE_APPLICATIONS[region]}/analytics/{quote(slug, safe='')}/cohort/{cohort}"


def slug_in(text: str | None, place: int) -> str | None:
    """Return a slug, or take it from the URL of a source's page, ``app.segment.com/<0>/sources/<2>``.

    Args:
        text: The field's value; ``None`` for none.
        place: The slug's position in that URL: 0 for the workspace, 2 for the source.

    >>> slug_in("acme", 0), slug_in("https://app.segment.com/acme/sources/python/overview", 0)
    ('acme', 'acme')
    >>> slug_in("app.segment.com/acme/sources/python", 2), slug_in("https://app.segment.com/acme", 2)
    ('python', None)
    """
    address = (text or "").strip("/")
    if "/" not in address:
        return address or None
    _, *steps = address.rpartition("://")[2].partition("?")[0].split("/")
    return steps[place] if len(steps) > place else None


def debugger_url(workspace: str, source: str, region: str) -> str:
    """Return the URL of a Segment source's debugger, which shows a sample of the latest messages.

    https://www.twilio.com/docs/segment/connections/sources/debugger

    Args:
        workspace: The workspace's slug.
        source: The source's slug.
        region: ``US`` or ``EU``.

    >>> debugger_url("acme", "python", "US")
    'https://app.segment.com/acme/sources/python/debugger'
    >>> debugger_url("acme", "a b", "EU")
    'https://eu1.app.segment.com/acme/sources/a%20b/debugger'
    """
    return f"{SEGMENT_APPLICATIONS[region]}/{quote(workspace, safe='')}/sources/{quote(source, safe='')}/debugger"
