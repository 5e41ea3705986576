"""The sandbox starts and stops cleanly, serves this machine only, and knows nothing else of the package."""

from __future__ import annotations

import ast
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

import airflow_provider_amplitude_segment.sandbox as package
from airflow_provider_amplitude_segment.sandbox import (
    WRITE_KEY_DEFAULT,
    WRITE_KEY_EMEA,
    Sandbox,
    SandboxCohort,
    sample_cohorts,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = [
    sys.executable,
    "-m",
    "airflow_provider_amplitude_segment.sandbox",
    "--port",
    "0",
    "--members",
    "500",
]
ROOT = Path(package.__file__).parents[2]


def test_two_sandboxes_know_nothing_of_each_other() -> None:
    """Each start takes a free port of its own, and its project is its own."""
    with Sandbox.start() as one, Sandbox.start(cohorts=[SandboxCohort("x", "X")]) as other:
        assert one.url != other.url
        assert one.amplitude.cohorts == {}


def test_stopping_frees_the_port_and_the_thread() -> None:
    """After the block nothing answers, no thread is left, the port is free, and memories can be read."""
    # Another sandbox may serve the tests of the cluster.
    before = set(threading.enumerate())
    with Sandbox.start() as sandbox:
        requests.get(sandbox.url, timeout=20)
        assert [thread.name for thread in set(threading.enumerate()) - before] == ["amplitude-segment-sandbox"]
    assert set(threading.enumerate()) <= before
    with pytest.raises(requests.ConnectionError):
        requests.get(sandbox.url, timeout=20)

    with Sandbox.start(port=int(sandbox.url.rsplit(":", 1)[1])) as again:
        assert again.url == sandbox.url
    sandbox.stop()
    assert sandbox.segment.batches == []


def test_a_taken_port_is_an_error() -> None:
    """A port in use raises OSError."""
    with Sandbox.start() as sandbox, pytest.raises(OSError, match="in use"):
        Sandbox.start(port=int(sandbox.url.rsplit(":", 1)[1]))


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", "192.168.1.1", ""])
def test_only_loopback_is_served(host: str) -> None:
    """Any host but a loopback address is refused."""
    with pytest.raises(ValueError, match="this machine only"):
        Sandbox.start(host=host)


def test_connections_lead_to_this_sandbox() -> None:
    """The connections are JSON texts with the sandbox's address and keys, one write key each."""
    with Sandbox.start() as sandbox:
        connections = {name: json.loads(text) for name, text in sandbox.airflow_connections().items()}

        assert connections["AIRFLOW_CONN_AMPLITUDE_DEFAULT"] == {
            "conn_type": "amplitude",
            "login": sandbox.amplitude.api_key,
            "password": sandbox.amplitude.secret_key,
            "host": sandbox.url,
        }
        for name, write_key in (("DEFAULT", WRITE_KEY_DEFAULT), ("EMEA", WRITE_KEY_EMEA)):
            expected = {"conn_type": "segmentio", "host": sandbox.url, "password": write_key}
            assert connections[f"AIRFLOW_CONN_SEGMENT_{name}"] == expected
            assert len(write_key) == 32


def test_the_connection_of_the_public_api_leads_to_this_sandbox() -> None:
    """It has both tokens and the space; the write keys name it only if a test asks for that."""
    with Sandbox.start() as sandbox:
        connections = {name: json.loads(text) for name, text in sandbox.airflow_connections(proved=True).items()}
        api = connections["AIRFLOW_CONN_SEGMENT_API_DEFAULT"]
        profiles = f"{api['extra']['profile_host']}/v1/spaces/{api['extra']['space_id']}/collections/users/profiles"
        token = {"Authorization": f"Bearer {api['password']}"}

        assert api["conn_type"] == "segmentapi"
        assert requests.get(f"{api['host']}/sources", headers=token, timeout=20).status_code == 200
        credentials = (api["extra"]["profile_api_token"], "")
        assert requests.get(f"{profiles}/user_id:ann/traits", auth=credentials, timeout=20).status_code == 404
        for name in ("AIRFLOW_CONN_SEGMENT_DEFAULT", "AIRFLOW_CONN_SEGMENT_EMEA"):
            assert connections[name]["extra"] == {"api_conn_id": "segment_api_default"}


def test_the_sandbox_imports_nothing_of_ours() -> None:
    """Of the package, the sandbox imports the sandbox alone."""
    ours = "airflow_provider_amplitude_segment"
    for module in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(("airflow.", ours)) or name.startswith(f"{ours}.sandbox"), module.name


def test_sample_cohorts_are_the_same_each_time() -> None:
    """The program's cohorts are deterministic, of realistic sizes, and hold hazardous user IDs."""
    cohorts = {cohort.name: cohort for cohort in sample_cohorts()}

    assert [len(cohort.user_ids) for cohort in cohorts.values()] == [100_000, 12_400, 1_850, 240, 1_000, 3]
    assert sum(name.startswith("Lifecycle:") for name in cohorts) == 3
    assert sum(cohort.archived for cohort in cohorts.values()) == 1
    everyone = cohorts["Lifecycle: active this month"].user_ids
    assert len(set(everyone)) == 100_000
    assert {"007", "line\nbreak"} <= set(everyone)
    assert sample_cohorts()[0].user_ids == everyone
    assert sample_cohorts(seed=1)[0].user_ids != everyone
    assert all(cohort.user_ids for cohort in sample_cohorts(1))


def without_starlette(tmp_path: Path) -> dict[str, str]:
    """An environment in which Starlette cannot be imported."""
    (tmp_path / "starlette.py").write_text("raise ImportError('not installed')\n")
    return {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    """Without Starlette the program ends with the command that installs it."""
    ended = subprocess.run(  # noqa: S603
        PROGRAM, env=without_starlette(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1].endswith("pip install 'airflow-provider-amplitude-segment[sandbox]'")


@pytest.fixture
def program() -> Iterator[subprocess.Popen[str]]:
    """The program, started."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(PROGRAM, env=env, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        yield process
        process.kill()


def read_connections(process: subprocess.Popen[str]) -> dict[str, dict[str, str]]:
    """Read what the program prints, up to its last line, as a shell would."""
    connections = {}
    assert process.stdout is not None
    for line in process.stdout:
        if exported := re.fullmatch(r"export (AIRFLOW_CONN_\w+)='([^']*)'\n", line):
            connections[exported[1]] = json.loads(exported[2])
        if line.startswith("Stop it"):
            break
    return connections


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_prints_connections_that_work(program: subprocess.Popen[str], number: int) -> None:
    """The printed connections reach both APIs, and a signal ends the program with 0."""
    connections = read_connections(program)
    amplitude = connections["AIRFLOW_CONN_AMPLITUDE_DEFAULT"]
    segment = connections["AIRFLOW_CONN_SEGMENT_EMEA"]
    credentials = (amplitude["login"], amplitude["password"])

    listed = requests.get(amplitude["host"] + "/api/3/cohorts", auth=credentials, timeout=20).json()["cohorts"]
    sent = requests.post(segment["host"] + "/v1/batch", json={"batch": []}, auth=(segment["password"], ""), timeout=20)

    assert sum(cohort["name"].startswith("Lifecycle:") for cohort in listed) == 3
    assert sent.json() == {"success": True}
    program.send_signal(number)
    assert program.wait(20) == 0


def test_the_program_refuses_other_hosts() -> None:
    """A host that is not loopback, and a size that is no size, end the program with the reason."""
    for wrong, reason in ((["--host", "0.0.0.0"], "this machine only"), (["--members", "0"], "2,000,000")):
        ended = subprocess.run(  # noqa: S603
            [*PROGRAM, *wrong],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode != 0
        assert reason in ended.stderr
