"""The HTTP answer behind an error of a file system: s3fs's, gcsfs's and adlfs's, none of which is imported here."""

from __future__ import annotations

from airflow_provider_amplitude_segment.core.ledger.store_response import StoreResponse


def response_of(error: BaseException) -> StoreResponse | None:
    """Return the HTTP answer that a file system made an error of; ``None`` where there was none.

    s3fs keeps boto's error beside its own, or raises its own while it handles boto's; adlfs lets Azure's out; gcsfs has
    one of its own, and two texts.
    """
    for found in (error, error.__cause__ or error.__context__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            told = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return StoreResponse(
                    status, _name(told.get("Code")), str(told.get("Header", "")), str(told.get("Message"))
                )
        # Azure's keep it themselves. Every error of Airflow's has one by its class, that of a web page which shows it.
        status = getattr(found, "__dict__", {}).get("status_code")
        if isinstance(status, int):
            code = getattr(found, "error_code", None)
            return StoreResponse(status, _name(getattr(code, "value", code)))
        # Looked at for gcsfs's only: aiohttp's warn where they are asked.
        code = str(getattr(found, "code", "")) if type(found).__name__ == "HttpError" else ""
        if code.isdecimal():
            return StoreResponse(int(code))
        for text, number in (("Forbidden: ", 403), ("Bad Request: ", 400)):
            if str(found).startswith(text):
                return StoreResponse(number)
    return None


def _name(code: object) -> str:
    """Return a name that a store gives to an error, where it is one: boto puts the status in its place."""
    return code if isinstance(code, str) and code.isalnum() and not code.isdecimal() else ""
