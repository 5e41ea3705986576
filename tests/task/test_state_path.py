"""Where state is kept: what is warned of."""

from pathlib import Path

import pytest
from fakes.task_instance import Sync

from airflow_provider_amplitude_segment.task.state_path import is_local_to_worker

SPREAD = [
    "CeleryExecutor",
    "LocalExecutor,KubernetesExecutor",
    "CeleryKubernetesExecutor",
    "LocalExecutor;team_a=airflow.providers.celery.executors.celery_executor.CeleryExecutor",
    "LocalExecutor,edge:airflow.providers.edge3.executors.EdgeExecutor",
    "CeleryExecutor:my_alias",
]
OF_ONE_MACHINE = ["LocalExecutor", "SequentialExecutor", "airflow.executors.local_executor.LocalExecutor", ""]


@pytest.mark.parametrize("executors", SPREAD)
def test_state_on_a_workers_own_disk_is_no_good_where_tasks_are_spread(executors: str) -> None:
    assert is_local_to_worker("/amplitude-segment", executors)


def test_a_sync_warns_of_it_and_says_what_to_set_instead(
    sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

    assert sync()["destinations"][0]["committed"]

    # A temporary folder on a mounted file system may be a shared one.
    assert ("Set state_path" in caplog.text) is is_local_to_worker(str(tmp_path), "CeleryExecutor")


@pytest.mark.parametrize("executors", OF_ONE_MACHINE)
def test_state_on_the_one_machine_is_not_warned_of(executors: str) -> None:
    assert not is_local_to_worker("/opt/airflow", executors)


def test_a_mounted_file_system_or_an_object_store_is_not_warned_of() -> None:
    mounted = next(path for path in (Path("/proc"), Path("/dev"), Path("/sys")) if path.is_mount())

    assert not is_local_to_worker("s3://aws_default@bucket/state", "CeleryExecutor")
    assert not is_local_to_worker(str(mounted / "amplitude-segment"), "CeleryExecutor")
