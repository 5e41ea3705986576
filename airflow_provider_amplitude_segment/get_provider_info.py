"""The provider's metadata, which Airflow reads at discovery. This module imports nothing of Airflow."""

from __future__ import annotations

from typing import Any

_PACKAGE = "airflow_provider_amplitude_segment"
_AMPLITUDE = "Amplitude"
_SEGMENT = "Segment"

_REGION = {
    "label": "Data region",
    "schema": {
        "type": ["string", "null"],
        "enum": ["US", "EU"],
        "values_display": {"US": "US (United States)", "EU": "EU (European Union)"},
        "default": "US",
    },
}
_TIMEOUT = {
    "label": "Timeout",
    "description": "Seconds without data from the server after which a request fails. Empty means 60.",
    "schema": {"type": ["integer", "null"], "default": 60, "minimum": 1, "maximum": 86400},
}

# Without a port, the Test button of Airflow 3.3.2 returns "Bad Request": https://github.com/apache/airflow/pull/73298
_PORT = "443: on Airflow 3.3.2, Test needs one"


def _region(whose: str) -> dict[str, Any]:
    return {**_REGION, "description": f"Where {whose} keeps its data: US or EU. Empty means US."}


def _text(label: str, description: str) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


def _secret(label: str, description: str) -> dict[str, Any]:
    return {
        "label": label,
        "description": description,
        "schema": {"type": ["string", "null"], "format": "password"},
    }


# Only Airflow 2 shows placeholders of conn-fields.
_CONNECTION_TYPES: list[dict[str, Any]] = [
    {
        "connection-type": "amplitude",
        "hook-class-name": f"{_PACKAGE}.hooks.amplitude.AmplitudeHook",
        "hook-name": "Amplitude",
        "ui-field-behaviour": {
            "hidden-fields": ["schema"],
            "relabeling": {"login": "API key", "password": "Secret key"},
            "placeholders": {
                "host": "leave empty for the region's host",
                "port": _PORT,
                "login": "in Amplitude: Settings > Organization settings > Projects > your project",
                "password": "beside the API key",
                "org_url": "my-org",
                "timeout": "60",
            },
        },
        "conn-fields": {
            "region": _region("the Amplitude project"),
            "org_url": _text(
                "Organization URL",
                "For links to cohorts: the part after /analytics/ in Amplitude's URLs, e.g. my-org, or a whole URL "
                "with {cohort_id} in it. Empty: no link.",
            ),
            "timeout": _TIMEOUT,
        },
    },
    {
        "connection-type": "segmentio",
        "hook-class-name": f"{_PACKAGE}.hooks.segment.SegmentHook",
        "hook-name": "Segment (write key)",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login"],
            "relabeling": {"password": "Write key"},
            "placeholders": {
                "host": "leave empty for the region's host",
                "port": _PORT,
                "password": "in Segment: your source > Settings > API Keys",
                "workspace": "my-workspace",
                "source": "my-source",
                "destination_id": "leave empty",
                "timeout": "60",
            },
        },
        "conn-fields": {
            "region": _region("the Segment workspace"),
            "workspace": _text(
                "Workspace slug",
                "my-workspace, where the source's address is app.segment.com/my-workspace/sources/my-source. For the "
                "link to its debugger, and for the rate limit, which connections of one workspace share.",
            ),
            "source": _text("Source slug", "my-source, in the same address. For the link to its debugger."),
            "destination_id": _text(
                "Destination ID",
                "Leave it empty. After a change of the source's write key, enter the destination's earlier name in the "
                "state path.",
            ),
            "timeout": _TIMEOUT,
            "api_conn_id": _text(
                "Public API connection ID",
                'The ID of a connection of type "Segment (Public API)" to the same workspace. With it, Test and each '
                "sync check the write key. Empty: nothing checks it.",
            ),
            "oauth_app_id": _text(
                "OAuth app ID",
                "Only for a source that demands OAuth: the ID of the application, in Segment under Settings > "
                "Workspace settings > Access Management > OAuth application.",
            ),
            "oauth_key_id": _text("OAuth key ID", "Only with OAuth: the ID of the application's public key."),
            "oauth_private_key": _secret(
                "OAuth private key", "Only with OAuth: the private key of that public key, in PEM form."
            ),
        },
    },
    {
        "connection-type": "segmentapi",
        "hook-class-name": f"{_PACKAGE}.hooks.segment_api.SegmentApiHook",
        "hook-name": "Segment (Public API)",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login"],
            "relabeling": {"password": "Public API token"},
            "placeholders": {
                "host": "leave empty for the region's host",
                "port": _PORT,
                "password": "in Segment: Settings > Workspace settings > Access Management > Tokens",
                "space_id": "leave empty without Unify",
                "profile_host": "leave empty for the region's host",
                "timeout": "60",
            },
        },
        "conn-fields": {
            "region": _region("the Segment workspace"),
            "space_id": _text(
                "Space ID",
                "For checks of single users by the Profile API: the space's ID, in Segment under Unify > Unify "
                "settings > API access. Empty: only numbers are checked.",
            ),
            "profile_api_token": _secret("Profile API token", "The space's access token, made on the same page."),
            "profile_host": _text("Profile API host", "Overrides the region's host of the Profile API. Mostly empty."),
            "timeout": _TIMEOUT,
        },
    },
]


def connection_type(name: str) -> dict[str, Any]:
    """Return the declaration of one connection type.

    Raises:
        KeyError: no connection type has that name.
    """
    for declared in _CONNECTION_TYPES:
        if declared["connection-type"] == name:
            return declared
    raise KeyError(name)


def _modules(integration: str, *modules: str) -> dict[str, Any]:
    return {"integration-name": integration, "python-modules": [f"{_PACKAGE}.{module}" for module in modules]}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, after Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-amplitude-segment",
        "name": "Amplitude and Segment",
        "description": "Sync Amplitude behavioral cohorts to Segment, one identify for each change.",
        "integrations": [
            {
                "integration-name": _AMPLITUDE,
                "external-doc-url": "https://amplitude.com/docs/apis/analytics/behavioral-cohorts",
                "tags": ["service"],
            },
            {
                "integration-name": _SEGMENT,
                "external-doc-url": "https://www.twilio.com/docs/segment",
                "tags": ["service"],
            },
        ],
        "hooks": [_modules(_AMPLITUDE, "hooks.amplitude"), _modules(_SEGMENT, "hooks.segment", "hooks.segment_api")],
        "operators": [_modules(_SEGMENT, "operators.retire_trait", "operators.verify")],
        "triggers": [
            _modules(_AMPLITUDE, "triggers.amplitude", "triggers.cohort_change"),
            _modules(_SEGMENT, "triggers.settle"),
        ],
        "transfers": [
            {
                "source-integration-name": _AMPLITUDE,
                "target-integration-name": _SEGMENT,
                "python-module": f"{_PACKAGE}.transfers.amplitude_to_segment",
            }
        ],
        "connection-types": _CONNECTION_TYPES,
        # When Airflow 2 reads a serialized DAG, it accepts only these links.
        "extra-links": [
            f"{_PACKAGE}.links.amplitude.AmplitudeCohortLink",
            f"{_PACKAGE}.links.segment.SegmentDebuggerLink",
        ],
        "config": {"amplitude_segment": _CONFIG},
    }


_CONFIG: dict[str, Any] = {
    "description": "Syncs of Amplitude cohorts to Segment.",
    "options": {
        "state_path": {
            "description": "Where the ledgers are: an absolute path, or a URL of S3, Google Cloud Storage or Azure. "
            "Empty means a folder in AIRFLOW_HOME, which works only with one machine.",
            "version_added": "0.1.0",
            "type": "string",
            "example": "s3://aws_default@my-bucket/amplitude-segment",
            "default": "",
        },
        "installation": {
            "description": "The name of this Airflow, the same on all of its workers. Set it where two Airflows share "
            "a state path and have the same configuration. Empty means the address by which a task reaches its "
            "Airflow: the metadata database on Airflow 2.11, the execution API on Airflow 3.",
            "version_added": "0.1.0",
            "type": "string",
            "example": "production-blue",
            "default": "",
        },
        "keep_snapshots": {
            "description": "How many commits of each cohort and destination are kept, to roll back to.",
            "version_added": "0.1.0",
            "type": "integer",
            "example": None,
            "default": "5",
        },
    },
}
