"""What each response of the Public API means that lists something of a workspace.

Source: Segment's own SDK, https://github.com/segmentio/public-api-sdk-typescript, folder ``model``; each function
names its class. An entry of another shape is left out, because one odd entry must not hide the others. Of the sources,
it counts as one that hides its keys, because the wanted key may be in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_amplitude_segment.core.segment_api.responses import text_of, texts_in
from airflow_provider_amplitude_segment.core.segment_api.workspace import (
    ConnectedDestination,
    ListedSource,
    Space,
    Workspace,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_amplitude_segment.core.segment_api.responses import ResponseData

_USER_ID = "USER_ID"
_IDENTIFY = "IDENTIFY"
_COMMON = "COMMON"


def read_workspace(data: ResponseData) -> Workspace:
    """Read the response to ``GET /``, class ``GetWorkspaceV1Output``.

    Raises:
        SegmentApiAnswerError: It names no workspace.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> values = {"workspace": {"id": "9aQ1", "slug": "acme", "name": "Acme"}}
    >>> read_workspace(ResponseData(ApiRequest("c", "x"), 200, values))
    Workspace(workspace_id='9aQ1', slug='acme', name='Acme')
    """
    workspace = data.object("workspace")
    slug = text_of(workspace, "slug")
    if not slug:
        raise data.request.wrong_answer(data.status, "without the slug of a workspace")
    return Workspace(text_of(workspace, "id"), slug, text_of(workspace, "name", "slug"))


def read_sources(data: ResponseData, fingerprint: Callable[[str], str]) -> tuple[ListedSource, ...]:
    """Read one page of the response to ``GET /sources``, class ``SourceV1``.

    "This field is left empty when the current token does not have the 'source admin' permission" (``writeKeys``). A
    write key leaves this function only as its fingerprint.

    Args:
        data: The page.
        fingerprint: Of a write key, at the host that the caller looks for.

    Raises:
        SegmentApiAnswerError: It has no list of sources.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> source = {"id": "qQE3", "slug": "python", "enabled": True, "writeKeys": ["hush"]}
    >>> page = ResponseData(ApiRequest("c", "x"), 200, {"sources": [source, {"slug": "no ID"}]})
    >>> [(found.source_id, found.name, found.enabled, found.keys) for found in read_sources(page, str.upper)]
    [('qQE3', 'python', True, frozenset({'HUSH'})), ('', '', True, frozenset())]
    >>> [found.hides_keys for found in read_sources(page, str.upper)]
    [False, True]
    """
    entries = data.objects("sources")
    odd = len(data.values["sources"]) - len(entries)
    sources = tuple(_read_source(entry, fingerprint) for entry in entries)
    return (*sources, *(_UNREADABLE for _ in range(odd)))


_UNREADABLE = ListedSource("", "", "", enabled=True, hides_keys=True)


def _read_source(entry: dict[str, Any], fingerprint: Callable[[str], str]) -> ListedSource:
    if not text_of(entry, "id"):
        return _UNREADABLE
    keys = entry.get("writeKeys")
    texts = texts_in(keys)
    return ListedSource(
        source_id=text_of(entry, "id"),
        slug=text_of(entry, "slug"),
        name=text_of(entry, "name", "slug", "id"),
        # Only a source that Segment calls disabled is one, because the check refuses a sync for it.
        enabled=entry.get("enabled") is not False,
        keys=frozenset(map(fingerprint, texts)),
        hides_keys=not isinstance(keys, list) or len(texts) < len(keys) or not (texts or _is_without_keys(entry)),
    )


_KINDS_WITHOUT_KEYS = frozenset(
    (
        # Objects of an application, which Segment itself fetches.
        *("mazatB39IS", "cQ8NOxeApJ"),  # Facebook Ads, Google Ads
        *("2baks93o", "b3346ddd", "acd1bc21d", "asdf76as89"),  # HubSpot, Intercom, Mailchimp, Mandrill
        *("VOXa199Bdm", "2baks93n", "oQ5dZPW0Ii"),  # Marketo, Salesforce, Salesforce Marketing Cloud
        *("jhr8dT2yHn", "1bow82lmk", "43bb279b7", "3hbak7a9"),  # SendGrid, Stripe, Twilio, Zendesk
        # A warehouse that Reverse ETL reads.
        *("xNpohElkX2", "78PbvP2yv8", "aSPS4yE0CZ", "fUGdCkAF8f"),  # Azure, BigQuery, Databricks, DB2
        *("WvlvcGEJsT", "0yMe8VfuDc", "BQp3zGUgjV"),  # Postgres, Redshift, Snowflake
    )
)
"""IDs of kinds of sources in Segment's catalog that have no write key.

"Cloud-sources do not have write keys" (https://www.twilio.com/docs/segment/connections/find-writekey), but
those of events, such as Amplitude Cohorts, have one, so ``isCloudEventSource`` cannot separate the two. Segment's
documents have the IDs: https://github.com/segmentio/segment-docs, ``src/_data/catalog/sources.yml``.
"""


def _is_without_keys(entry: dict[str, Any]) -> bool:
    metadata = entry.get("metadata")
    return isinstance(metadata, dict) and text_of(metadata, "id") in _KINDS_WITHOUT_KEYS


def read_tracking_plan_id(data: ResponseData) -> str | None:
    """Read the response to ``GET /sources/{sourceId}``, class ``GetSourceV1Output``.

    Raises:
        SegmentApiAnswerError: It has no source.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> request = ApiRequest("c", "x")
    >>> read_tracking_plan_id(ResponseData(request, 200, {"source": {"id": "q"}, "trackingPlanId": "tp_1"}))
    'tp_1'
    >>> read_tracking_plan_id(ResponseData(request, 200, {"source": {"id": "q"}, "trackingPlanId": None}))
    """
    data.object("source")
    return text_of(data.values, "trackingPlanId") or None


def read_drops_unplanned_traits(data: ResponseData) -> bool:
    """Read the response to ``GET /sources/{sourceId}/settings``, class ``IdentifySourceSettingsV1``.

    A setting that is left out counts as allowed, because only a known loss is worth a warning.

    Raises:
        SegmentApiAnswerError: It has no settings.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> def page(identify):
    ...     return ResponseData(ApiRequest("c", "x"), 200, {"settings": {"identify": identify}})
    >>> [read_drops_unplanned_traits(page(identify)) for identify in ({"allowUnplannedTraits": False}, {}, None)]
    [True, False, False]
    """
    identify = data.object("settings").get("identify")
    return isinstance(identify, dict) and identify.get("allowUnplannedTraits") is False


def read_planned_traits(pages: Iterable[ResponseData]) -> frozenset[str] | None:
    """Read all pages of the response to ``GET /tracking-plans/{trackingPlanId}/rules``, class ``RuleV1``.

    A rule of the type ``IDENTIFY`` has its traits in its JSON Schema, below ``properties.traits.properties``; one of
    the type ``COMMON`` is of all calls.

    Returns:
        The names of the traits; ``None`` where a rule of identifies has another shape, so that they are not known.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> def page(*rules):
    ...     return ResponseData(ApiRequest("c", "x"), 200, {"rules": [*rules]})
    >>> rule = {"type": "IDENTIFY", "jsonSchema": {"properties": {"traits": {"properties": {"plan": {}}}}}}
    >>> read_planned_traits([page({"type": "TRACK", "key": "Bought"}), page(rule)])
    frozenset({'plan'})
    >>> read_planned_traits([page(rule, {"type": "IDENTIFY", "jsonSchema": {"allOf": []}})]) is None
    True
    """
    planned: set[str] = set()
    for page in pages:
        for rule in page.objects("rules"):
            kind = text_of(rule, "type")
            if kind not in {_IDENTIFY, _COMMON}:
                continue
            traits = _inner(rule, "jsonSchema", "properties", "traits", "properties")
            if traits is None and kind == _IDENTIFY:
                return None
            planned.update(traits or ())
    return frozenset(planned)


def _inner(value: object, *names: str) -> dict[str, Any] | None:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def read_connected_destinations(data: ResponseData) -> tuple[ConnectedDestination, ...]:
    """Read one page of the response to ``GET /sources/{sourceId}/connected-destinations``, class ``DestinationV1``.

    Its ``settings`` may hold secrets of other tools and are not read.

    Raises:
        SegmentApiAnswerError: It has no list of destinations.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> entry = {"enabled": True, "settings": {"apiKey": "x"}, "metadata": {"name": "Braze", "slug": "braze"}}
    >>> read_connected_destinations(ResponseData(ApiRequest("c", "x"), 200, {"destinations": [entry]}))
    (ConnectedDestination(name='Braze', slug='braze', enabled=True),)
    """
    return tuple(
        ConnectedDestination(
            name=text_of(metadata, "name", "slug"),
            slug=text_of(metadata, "slug"),
            enabled=entry.get("enabled") is not False,
        )
        for entry in data.objects("destinations")
        if (metadata := _inner(entry, "metadata")) is not None
    )


def read_suppressed(data: ResponseData) -> tuple[str, ...]:
    """Read one page of the response to ``GET /suppressions``, class ``SuppressedInner``: its user IDs.

    Raises:
        SegmentApiAnswerError: It has no list of suppressions.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> entries = [{"subjectType": "USER_ID", "subjectIds": ["ann"]}, {"subjectType": "OBJECT_ID", "subjectIds": ["o"]}]
    >>> read_suppressed(ResponseData(ApiRequest("c", "x"), 200, {"suppressed": entries}))
    ('ann',)
    """
    users: list[str] = []
    for entry in data.objects("suppressed"):
        if entry.get("subjectType") == _USER_ID:
            users += texts_in(entry.get("subjectIds"))
    return tuple(users)


def read_spaces(data: ResponseData) -> tuple[Space, ...]:
    """Read one page of the response to ``GET /spaces``, class ``Space``; alpha, and only with Unify.

    Raises:
        SegmentApiAnswerError: It has no list of spaces.

    >>> from airflow_provider_amplitude_segment.core.segment_api.responses import ApiRequest, ResponseData
    >>> values = {"spaces": [{"id": "spa_1", "slug": "prod", "name": "Production"}]}
    >>> read_spaces(ResponseData(ApiRequest("c", "x"), 200, values))
    (Space(space_id='spa_1', name='Production'),)
    """
    spaces = (Space(text_of(entry, "id"), text_of(entry, "name", "slug", "id")) for entry in data.objects("spaces"))
    return tuple(space for space in spaces if space.space_id)
