"""The HTTP response behind an error of s3fs, gcsfs or adlfs, none of which is imported here."""

from __future__ import annotations

from airflow_provider_amplitude_segment.core.ledger.store_response import StoreResponse


def response_of(error: BaseException) -> StoreResponse | None:
    """Return the HTTP response that a file system raised an error for; ``None`` where there was none.

    s3fs keeps boto's error as the cause or the context of its own; adlfs raises Azure's; gcsfs raises one of its own,
    or one of two texts.
    """
    for found in (error, error.__cause__ or error.__context__):
        response = getattr(found, "response", None)
        if isinstance(response, dict):
            details = response.get("Error", {})
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if isinstance(status, int):
                return StoreResponse(
                    status, _name(details.get("Code")), str(details.get("Header", "")), str(details.get("Message"))
                )
        # Azure's errors keep it themselves. Read from the instance, because each class of Airflow's errors has one too.
        status = getattr(found, "__dict__", {}).get("status_code")
        if isinstance(status, int):
            code = getattr(found, "error_code", None)
            return StoreResponse(status, _name(getattr(code, "value", code)))
        # Read from gcsfs's errors only, because aiohttp's warn when it is read.
        code = str(getattr(found, "code", "")) if type(found).__name__ == "HttpError" else ""
        if code.isdecimal():
            return StoreResponse(int(code))
        for text, number in (("Forbidden: ", 403), ("Bad Request: ", 400)):
            if str(found).startswith(text):
                return StoreResponse(number)
    return None


def _name(code: object) -> str:
    """Return a store's name for an error; empty where boto has put the status in its place."""
    return code if isinstance(code, str) and code.isalnum() and not code.isdecimal() else ""
