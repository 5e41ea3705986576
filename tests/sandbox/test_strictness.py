"""Where Segment's and Amplitude's documents leave a choice, the sandbox takes the strict one."""

import json

import pytest
import requests

from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort

MESSAGE = {"type": "identify", "userId": "ann", "traits": {"plan": "pro"}, "timestamp": "2026-11-23T13:56:49.152Z"}


def post(sandbox: Sandbox, body: str) -> int:
    answer = requests.post(f"{sandbox.url}/v1/batch", data=body, auth=(WRITE_KEY_DEFAULT, ""), timeout=10)
    return answer.status_code


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_takes_for_json_is_refused(number: str) -> None:
    body = json.dumps({"batch": [{**MESSAGE, "traits": {"plan": 0}}]}).replace(": 0", f": {number}")
    with Sandbox.start(cohorts=[], port=0) as sandbox:
        assert post(sandbox, body) == 400
        assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {}


def test_a_message_id_of_a_hundred_characters_is_lost_and_one_of_99_is_not() -> None:
    with Sandbox.start(cohorts=[], port=0) as sandbox:
        assert post(sandbox, json.dumps({"batch": [{**MESSAGE, "messageId": "x" * 100}]})) == 200
        assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {}
        assert post(sandbox, json.dumps({"batch": [{**MESSAGE, "messageId": "x" * 99}]})) == 200
        assert sandbox.segment.traits(WRITE_KEY_DEFAULT, "ann") == {"plan": "pro"}


def test_asking_for_the_head_of_an_export_request_spends_none() -> None:
    with Sandbox.start(cohorts=[SandboxCohort("c1", "Power Users", ["ann"])], port=0) as sandbox:
        auth = (sandbox.amplitude.api_key, sandbox.amplitude.secret_key)
        answer = requests.head(f"{sandbox.url}/api/5/cohorts/request/c1", auth=auth, timeout=10)
        assert answer.status_code == 405
        assert sandbox.amplitude.exports_spent == 0


def test_the_ids_of_exports_are_letters_and_digits_as_the_documents_show_them() -> None:
    with Sandbox.start(cohorts=[SandboxCohort("c1", "Power Users", ["ann"])], port=0) as sandbox:
        sandbox.amplitude.parallel_per_minute = sandbox.amplitude.requests_per_ten_minutes = None
        ids = [sandbox.amplitude.request_export("c1").request_id for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(request_id.isascii() and request_id.isalnum() for request_id in ids)
