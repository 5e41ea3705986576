"""A worker's disk that refuses something is named, with the room that the work takes; no change is lost by it."""

import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes import World
from fakes.small_files import files_up_to

from airflow_provider_amplitude_segment.core.disk_space import listed_export_bytes, sync_room
from airflow_provider_amplitude_segment.core.engine.database import open_engine
from airflow_provider_amplitude_segment.core.engine.scratch import ScratchFile, make_scratch, on_scratch, scratch_chunks
from airflow_provider_amplitude_segment.core.ledger.stream import Stream
from airflow_provider_amplitude_segment.core.maintenance.erasure import erase_users
from airflow_provider_amplitude_segment.core.maintenance.ports import MaintenancePorts
from airflow_provider_amplitude_segment.core.maintenance.rollback import roll_back
from airflow_provider_amplitude_segment.exceptions import EngineError

TRAIT = "Power Users (c1)"
MEMBERS = 3000


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An error names the temporary folder of the sync's own engine."""
    return World(tmp_path, own_engines=True)


def users(first: int, last: int) -> list[str]:
    return [f"user-{number:06d}" for number in range(first, last)]


def folder_of(world: World) -> Path:
    """The temporary folder of the last sync."""
    assert world.last is not None
    return world.last._session.ports.scratch.parent


def assert_names_the_folder(error: EngineError, folder: Path) -> None:
    assert error.retryable
    assert error.folder is not None
    assert Path(error.folder).is_relative_to(folder)
    assert error.needed_bytes is not None
    assert f"The worker's temporary folder {error.folder} cannot be used: File too large" in str(error)
    assert re.search(r"needs about [\d,]+ MB there", str(error))
    assert "user-" not in str(error)


@pytest.mark.parametrize("size", [0, 2_000, 12_000, 60_000])
def test_a_sync_that_finds_no_room_says_so_and_its_retry_delivers_with_the_same_export(size: int, world: World) -> None:
    """The sizes reach the download, the membership, the plan, and, with a state, the state's copy and its fold."""
    world.amplitude.cohort("c1", "Power Users", users(0, MEMBERS))
    for run in ("first", "second"):
        exports = world.amplitude.exports_spent

        with files_up_to(size), pytest.raises(EngineError) as failed:
            world.attempt("c1", run=run, sync_mode="full")

        assert_names_the_folder(failed.value, folder_of(world))
        assert failed.value.needed_bytes == sync_room(listed_export_bytes(MEMBERS, 0), 1)
        assert str(failed.value) == world.report.destinations[0].error
        world.sync("c1", run=run, sync_mode="full")
        assert world.amplitude.exports_spent == exports + 1
        assert world.segment.members(TRAIT) == set(users(0, MEMBERS))
        assert set(world.segment.times_received.values()) == {1}


def test_a_disk_that_fills_up_at_each_step_of_a_sync_never_ends_it_in_another_way(world: World) -> None:
    """From no room to enough, in small steps: each try ends as it should, and the last one delivers the rest."""
    world.amplitude.cohort("c1", "Power Users", users(0, MEMBERS))
    world.amplitude.properties = {user: {"plan": f"plan of {user}"} for user in users(0, MEMBERS)}
    ended = []
    for size in range(0, 200_000, 8_000):
        with files_up_to(size):
            try:
                world.sync("c1", run="a", user_properties=("plan",), keys=("default", "emea"))
                break
            except EngineError as error:
                ended.append(error)

    assert len(ended) > 5
    for error in ended:
        assert_names_the_folder(error, folder_of(world))
    for key in ("default", "emea"):
        assert world.segment.members(TRAIT, key) == set(users(0, MEMBERS))
        assert world.segment.traits("user-000007", key)["plan"] == "plan of user-000007"


def test_the_room_is_by_the_export_as_soon_as_that_is_there(world: World) -> None:
    """Amplitude's list may know no size, and IDs may be longer than most."""
    world.amplitude.cohort("c1", "Power Users", [f"{user}{'x' * 500}" for user in users(0, MEMBERS)])

    sync = world.prepare("c1", run="a")
    # The export arrives whole, and its copy without gzip does not.
    (sync._session.ports.scratch / "cohort.csv").mkdir()
    with pytest.raises(EngineError) as failed:
        sync.run()

    assert failed.value.needed_bytes == pytest.approx(sync_room(3000 * 525, 1), rel=0.02)
    assert failed.value.needed_bytes > sync_room(listed_export_bytes(MEMBERS, 0), 1)


def back(world: World, stream: Stream, scratch: Path) -> object:
    return roll_back(MaintenancePorts(world.store, world.run_named("back"), world.clock, scratch), stream, 1)


def erase(world: World, stream: Stream, scratch: Path) -> object:
    return erase_users(
        MaintenancePorts(world.store, world.run_named("erasure"), world.clock, scratch), stream, ["user-000001"]
    )


def retire(world: World, _stream: Stream, _scratch: Path) -> object:
    return world.retire("c1")


@pytest.mark.parametrize("size", [0, 2_000])
@pytest.mark.parametrize("work", [back, erase, retire])
def test_work_on_the_ledger_that_finds_no_room_says_so_and_is_done_again(
    work: Callable[[World, Stream, Path], object], size: int, world: World, tmp_path: Path
) -> None:
    stream = Stream("1234", "c1", world.destination())
    for users_then in (users(0, MEMBERS), users(0, MEMBERS - 5)):
        world.amplitude.cohort("c1", "Power Users", users_then)
        world.sync("c1")
    before = dict(world.store.objects)
    (tmp_path / "full").mkdir()

    with files_up_to(size), pytest.raises(EngineError) as failed:
        work(world, stream, tmp_path / "full")

    assert_names_the_folder(failed.value, tmp_path)
    kept = {name: content for name, content in world.store.objects.items() if ".parquet" in name or "commit-" in name}
    assert kept == {name: content for name, content in before.items() if name in kept}
    (tmp_path / "enough").mkdir()
    world.clock.pass_by(600)
    work(world, stream, tmp_path / "enough")


def test_a_file_for_people_that_cannot_be_written_again_is_the_disks_fault(world: World, tmp_path: Path) -> None:
    """Erased users stand in the list of who was rejected; that is read and written by Python."""
    world.amplitude.cohort("c1", "Power Users", users(0, 600))
    world.segment.poisoned = {"user-000001"}
    world.sync("c1", on_rejected="warn")
    stream = Stream("1234", "c1", world.destination())
    (tmp_path / "erasure").mkdir()
    (tmp_path / "erasure" / "after.csv").mkdir()

    with pytest.raises(EngineError, match="Is a directory") as failed:
        erase(world, stream, tmp_path / "erasure")

    assert Path(failed.value.folder or "").is_relative_to(tmp_path)


def test_a_scratch_folder_that_is_gone_is_no_damage_of_the_ledger(world: World) -> None:
    """Some clean /tmp while a task runs."""
    world.amplitude.cohort("c1", "Power Users", users(0, 300))
    world.sync("c1")
    sync = world.prepare("c1", run="a")
    sync._session.ports.scratch.rmdir()

    with pytest.raises(EngineError, match="No such file or directory"):
        sync.run()


def test_a_full_disk_is_not_taken_for_a_damaged_file_when_going_back(world: World, tmp_path: Path) -> None:
    """Else everyone would be in doubt, and be sent again."""
    world.amplitude.cohort("c1", "Power Users", users(0, MEMBERS))
    world.sync("c1")
    world.sync("c1", sync_mode="full")
    stream = Stream("1234", "c1", world.destination())
    (tmp_path / "back").mkdir()
    world.store.after_copy = lambda path: path.unlink() if path.name == "since.parquet" else None

    with pytest.raises(EngineError, match="No such file or directory"):
        back(world, stream, tmp_path / "back")

    world.store.after_copy = lambda _path: None
    assert world.sync("c1").destinations[0].planned == 0


@pytest.mark.parametrize(
    "limit", ["SET max_temp_directory_size = '2MB'", "SELECT 1"], ids=["what was free is spilled", "a file is refused"]
)
def test_what_the_engine_cannot_spill_is_the_disks_fault_and_not_the_memorys(limit: str, tmp_path: Path) -> None:
    scratch = tmp_path / "amplitude-segment-x"
    scratch.mkdir()

    with ExitStack() as stack:
        failed = stack.enter_context(pytest.raises(EngineError))
        engine = stack.enter_context(open_engine(scratch, memory_mib=40))
        engine.execute(limit)
        stack.enter_context(files_up_to(2_000_000))
        engine.execute(
            "CREATE TABLE spilled AS SELECT md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS a FROM range(3000000) t(i)"
        )

    assert (failed.value.folder, failed.value.reason) in {
        (str(tmp_path), os.strerror(28)),
        (str(tmp_path), os.strerror(27)),
    }


def test_a_device_that_is_full_is_named_and_leaves_no_half_a_file(tmp_path: Path) -> None:
    """``/dev/full`` is the kernel's own full disk."""
    (tmp_path / "export").symlink_to("/dev/full")

    with (
        pytest.raises(EngineError, match="No space left on device") as failed,
        ScratchFile(tmp_path / "export") as file,
    ):
        file.write(b"rows")

    assert failed.value.folder == str(tmp_path)
    assert not (tmp_path / "export").is_symlink()
    assert Path("/dev/full").exists()


def test_what_else_goes_wrong_while_a_scratch_file_is_written_passes_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b"rows")

    def carry() -> None:
        with ScratchFile(tmp_path / "export") as file:
            for chunk in scratch_chunks(tmp_path / "rows"):
                file.write(chunk)
                raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        carry()
    assert not (tmp_path / "export").exists()


def test_a_folder_that_may_not_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as failed, on_scratch(tmp_path / "amplitude-segment-x" / "destination-0"):
        raise PermissionError(13, "Permission denied")

    assert str(failed.value).startswith(
        f"The worker's temporary folder {tmp_path} cannot be used: Permission denied (PermissionError). "
    )
    assert "set TMPDIR of the worker to a folder that has both" in str(failed.value)
    with pytest.raises(EngineError):
        make_scratch(tmp_path / "no" / "destination-0")
