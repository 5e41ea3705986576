"""A guard that asks, as a worker meets it: the question goes to Airflow, and the answer comes to another process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from fakes.clock import FakeClock
from fakes.questions import FakeQuestions
from fakes.recording_server import CannedResponse, RecordingServer
from fakes.task_instance import FakeTaskInstance
from fakes.tested_dag import parse_dag

from airflow_provider_amplitude_segment.exceptions import QuestionError
from airflow_provider_amplitude_segment.sandbox import WRITE_KEY_DEFAULT, Sandbox, SandboxCohort
from airflow_provider_amplitude_segment.task.approval import QUESTION_XCOM_KEY
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

if TYPE_CHECKING:
    from fakes.task_instance import Sync

try:
    from airflow.sdk.execution_time import hitl as _hitl  # noqa: F401

    CAN_ASK = True
except ImportError:
    CAN_ASK = False

MEMBERS = [f"user{number}" for number in range(200)]
STAYING = MEMBERS[:50]
TRAIT = "Power Users (c1)"


def believed(sandbox: Sandbox) -> set[str]:
    return sandbox.segment.believes(WRITE_KEY_DEFAULT, TRAIT)


def saved_reports(tmp_path: Path) -> list[dict[str, Any]]:
    files = sorted(tmp_path.glob("state/*/c1/*/reports/*.json"), key=lambda file: int(file.stem))
    return [json.loads(file.read_text()) for file in files]


if not CAN_ASK:

    def test_an_airflow_that_cannot_ask_refuses_the_parameter_before_an_export_is_spent(
        sandbox: Sandbox, sync: Sync
    ) -> None:
        with pytest.raises(AirflowFailException, match=r"on_guard: got 'ask', and Airflow \S+ cannot ask a person"):
            sync(on_guard="ask")
        assert sandbox.amplitude.exports_spent == 0


if CAN_ASK:
    from airflow.providers.common.compat.sdk import TaskDeferred
    from airflow.sdk.execution_time import task_runner

    try:
        from airflow.sdk.exceptions import TaskAwaitingInput as Parked
    except ImportError:
        Parked = TaskDeferred

    @pytest.fixture
    def questions(monkeypatch: pytest.MonkeyPatch) -> FakeQuestions:
        questions = FakeQuestions()
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", questions, raising=False)
        return questions

    @pytest.fixture
    def shrunk(sandbox: Sandbox, sync: Sync, questions: FakeQuestions) -> Sandbox:  # noqa: ARG001
        """Return a sandbox whose cohort had 200 members at the last sync and has 50 now."""
        sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", MEMBERS)
        sync(FakeTaskInstance("yesterday"))
        sandbox.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", STAYING)
        sandbox.amplitude.exports_spent = 0
        return sandbox

    @pytest.fixture
    def resume(tmp_path: Path, ti: FakeTaskInstance) -> Any:
        """Resume the task with Airflow's event and what it was parked with, which passed through JSON."""

        def run(
            parked: Parked, event: dict[str, Any], clock: FakeClock | None = None, **parameters: Any
        ) -> dict[str, Any]:
            assert parked.method_name == "execute_approved"
            usual = {"cohort_id": "c1", "state_path": str(tmp_path / "state"), "on_guard": "ask"}
            operator = AmplitudeCohortToSegmentOperator(task_id="sync", **{**usual, **parameters})
            operator.clock = clock
            kwargs = json.loads(json.dumps(parked.kwargs))
            context = {"ti": ti, "dag_run": ti, "params": ti.params}
            return operator.execute_approved(context, event=event, **kwargs)

        return run

    def park(sync: Sync, **parameters: Any) -> Parked:
        with pytest.raises(Parked) as parked:
            sync(on_guard="ask", **parameters)
        return parked.value

    def test_send_anyway_sends_the_same_export_in_the_same_try(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any, tmp_path: Path
    ) -> None:
        parked = park(sync, approvers="alice, bob", approval_timeout="3600")
        [put] = questions.put
        assert put.subject == ("Send cohort 'Power Users' (c1)? 150 of 200 members would exit (75%) at segment_default")
        assert (put.options, put.defaults) == (["Send anyway", "Do not send"], ["Do not send"])
        assert [user.id for user in put.assigned_users] == ["alice", "bob"]
        assert len(believed(shrunk)) == 200

        report = resume(parked, questions.answer(ti.id, "Send anyway"), approvers="alice, bob")

        assert report["destinations"][0]["approved_by"] == "alice"
        assert [(saved["question"], saved["answered_by"]) for saved in saved_reports(tmp_path)] == [
            (None, None),
            ("approved", "alice"),
            (None, None),
        ]
        assert believed(shrunk) == set(STAYING)
        assert shrunk.amplitude.exports_spent == 1

    def test_the_question_and_the_report_are_in_xcoms_while_the_task_waits_and_name_no_user(
        shrunk: Sandbox,  # noqa: ARG001
        sync: Sync,
        ti: FakeTaskInstance,
    ) -> None:
        park(sync)

        question, report = ti.xcoms[QUESTION_XCOM_KEY], ti.xcoms["sync_report"]
        assert question["url"] is None
        assert question["where"] == "DAG 'dag', run 'manual__1', task 'sync', tab Required Actions"
        assert "| segment\\_default | 200 | 0 | 150 | 75% | `max_exit_ratio=0.5` |" in question["body"]
        assert report["destinations"][0]["error"].endswith("A person is asked (on_guard='ask').")
        assert "user1" not in json.dumps([question, report])

    @pytest.mark.parametrize("base_url", ["https://airflow.example.com", "https://airflow.example.com/"])
    def test_a_question_has_a_link_where_the_worker_knows_airflows_url(
        shrunk: Sandbox,  # noqa: ARG001
        sync: Sync,
        ti: FakeTaskInstance,
        monkeypatch: pytest.MonkeyPatch,
        base_url: str,
    ) -> None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

        park(sync)

        question = ti.xcoms[QUESTION_XCOM_KEY]
        page = "https://airflow.example.com/dags/dag/runs/manual__1/tasks/sync/required_actions"
        assert (question["url"], question["where"]) == (page, page)

    def test_the_longest_wait_for_an_answer_is_shorter_than_an_exports_life(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions
    ) -> None:
        with pytest.raises(AirflowFailException, match=r"approval_timeout: got 432001.*432,?000"):
            sync(on_guard="ask", approval_timeout=5 * 24 * 3600 + 1)
        assert shrunk.amplitude.exports_spent == 0

        park(sync, approval_timeout=5 * 24 * 3600)

        assert "Without an answer within 5 days" in questions.put[0].body

    def test_a_question_that_is_put_late_in_an_exports_life_waits_no_longer_than_that(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        """An answer with another code puts it again, here after six days; Amplitude keeps the file for seven."""
        clock = FakeClock()
        parked = park(sync, clock=clock, approval_timeout=5 * 24 * 3600)
        clock.pass_by(6 * 24 * 3600)

        with pytest.raises(Parked):
            resume(parked, questions.answer(ti.id, "Send anyway", code="ABC123"), clock=clock, approval_timeout="86400")

        assert "Without an answer within 22 hours" in questions.put[1].body
        assert shrunk.amplitude.exports_spent == 1

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ({"chosen_options": ["Do not send"], "responded_by_user": {"id": "1", "name": "bob"}}, "bob answered"),
            ({"chosen_options": ["Do not send"], "responded_by_user": None, "timedout": True}, "in time"),
            ({"error": "…", "error_type": "timeout"}, "in time"),
        ],
    )
    def test_do_not_send_and_a_time_out_end_as_the_guard_does_and_are_not_retried(
        shrunk: Sandbox, sync: Sync, ti: FakeTaskInstance, resume: Any, tmp_path: Path, event: dict[str, Any], said: str
    ) -> None:
        parked = park(sync)

        with pytest.raises(AirflowFailException, match=rf"150 of 200 members .*{said}.*does not retry") as failed:
            resume(parked, event)

        assert "dry-runs" in str(failed.value)
        assert "max_exit_ratio" in str(failed.value)
        assert len(believed(shrunk)) == 200
        assert said in ti.xcoms["sync_report"]["destinations"][0]["error"]
        saved = saved_reports(tmp_path)[-1]
        assert (saved["question"], saved["answered_by"]) == (
            ("declined", "bob") if "bob" in said else ("not answered", None)
        )
        assert (saved["guard"], saved["ended_by"]) == (True, "ExitRatioError")
        assert said in saved["destinations"][0]["error"]
        # A cleared task asks about a new export.
        ti.try_number = 2
        park(sync)
        assert shrunk.amplitude.exports_spent == 2

    def test_a_question_that_an_earlier_version_put_can_be_answered(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        parked = park(sync)
        for name in ("also_sent", "claims", "sendable_until"):
            del parked.kwargs["asked"]["question"][name]

        resume(parked, questions.answer(ti.id, "Send anyway"))

        assert believed(shrunk) == set(STAYING)

    def test_an_answer_to_an_earlier_question_approves_nothing_and_its_code_is_asked_for(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        """Airflow still shows the first question, after another run moved the state."""
        parked = park(sync)
        first = ti.xcoms[QUESTION_XCOM_KEY]["code"]
        shrunk.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", [f"new{n}" for n in range(300)])
        sync(FakeTaskInstance("other"), max_exit_ratio=None)
        shrunk.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", STAYING)
        with pytest.raises(Parked) as again:
            resume(parked, questions.answer(ti.id, "Send anyway"))
        assert ti.xcoms[QUESTION_XCOM_KEY]["code"] != first
        with pytest.raises(Parked) as once_more:
            resume(again.value, questions.answer(ti.id, "Send anyway"))
        assert len(believed(shrunk)) == 300

        code = ti.xcoms[QUESTION_XCOM_KEY]["code"].lower()
        resume(once_more.value, questions.answer(ti.id, "Send anyway", code=code))

        assert believed(shrunk) == set(STAYING)

    def test_an_answer_of_a_user_who_is_no_approver_asks_again(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        parked = park(sync, approvers=["alice"])

        with pytest.raises(Parked):
            resume(parked, questions.answer(ti.id, "Send anyway", user="mallory"), approvers=["alice"])
        assert len(believed(shrunk)) == 200

    def test_a_worker_that_is_killed_after_it_resumed_asks_no_second_question(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        parked = park(sync)
        shrunk.amplitude.cohorts.clear()
        with pytest.raises(AirflowFailException, match="not on Amplitude's list"):
            resume(parked, questions.answer(ti.id, "Send anyway"))
        shrunk.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", STAYING)
        ti.try_number = 2

        sync(on_guard="ask")

        assert len(questions.put) == 1
        assert believed(shrunk) == set(STAYING)
        assert shrunk.amplitude.exports_spent == 1

    def test_an_approval_of_a_task_that_was_cleared_since_asks_again(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        parked = park(sync)
        shrunk.amplitude.cohorts.clear()
        with pytest.raises(AirflowFailException, match="not on Amplitude's list"):
            resume(parked, questions.answer(ti.id, "Send anyway"))
        shrunk.amplitude.cohorts["c1"] = SandboxCohort("c1", "Power Users", STAYING)
        ti.try_number, ti.max_tries = 2, 1

        park(sync)

        assert len(questions.put) == 2
        assert len(believed(shrunk)) == 200

    def test_a_notifier_gets_the_question_and_one_that_fails_is_only_a_warning(
        shrunk: Sandbox,  # noqa: ARG001
        sync: Sync,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        posted: list[str] = []

        def fail(context: dict[str, Any]) -> None:
            raise RuntimeError(context["question"]["subject"])

        park(sync, notifiers=[fail, lambda context: posted.append(context["question"]["where"])])

        assert posted == ["DAG 'dag', run 'manual__1', task 'sync', tab Required Actions"]
        assert "A notification of the question could not be published: RuntimeError" in caplog.text

    @pytest.fixture
    def post_to_channel() -> Any:
        """The notifier of the daily example."""
        example = Path(__file__).parents[2] / "example_dags" / "amplitude_segment_daily.py"
        return parse_dag(example).get_task("sync_cohort").notifiers

    def test_the_examples_notifier_posts_the_question_to_the_chats_webhook(
        shrunk: Sandbox,  # noqa: ARG001
        sync: Sync,
        ti: FakeTaskInstance,
        post_to_channel: Any,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with RecordingServer() as chat:
            connection = {"conn_type": "http", "host": chat.url, "password": "services/T0/B0/hush"}
            monkeypatch.setenv("AIRFLOW_CONN_COHORT_CHANNEL", json.dumps(connection))
            park(sync, notifiers=post_to_channel)

        [came] = chat.came
        assert (came.method, came.path) == ("POST", "/services/T0/B0/hush")
        assert came.headers["content-type"] == "application/json"
        assert json.loads(came.body) == {
            "text": "Send cohort 'Power Users' (c1)? 150 of 200 members would exit (75%) at segment_default\n"
            f"Question {ti.xcoms[QUESTION_XCOM_KEY]['code']}: "
            "DAG 'dag', run 'manual__1', task 'sync', tab Required Actions"
        }
        assert "hush" not in caplog.text

    @pytest.mark.parametrize("status", [404, 500])
    def test_a_chat_that_refuses_the_post_changes_nothing(
        shrunk: Sandbox,
        sync: Sync,
        questions: FakeQuestions,
        ti: FakeTaskInstance,
        resume: Any,
        post_to_channel: Any,
        monkeypatch: pytest.MonkeyPatch,
        status: int,
    ) -> None:
        with RecordingServer(CannedResponse(status)) as chat:
            connection = {"conn_type": "http", "host": chat.url, "password": "services/T0/B0/hush"}
            monkeypatch.setenv("AIRFLOW_CONN_COHORT_CHANNEL", json.dumps(connection))
            parked = park(sync, notifiers=post_to_channel)

        resume(parked, questions.answer(ti.id, "Send anyway"))

        assert believed(shrunk) == set(STAYING)

    def test_without_its_connection_the_examples_notifier_is_a_warning_and_the_question_is_open(
        shrunk: Sandbox,
        sync: Sync,
        questions: FakeQuestions,
        ti: FakeTaskInstance,
        resume: Any,
        post_to_channel: Any,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        parked = park(sync, notifiers=post_to_channel)
        assert "A notification of the question could not be published: AirflowNotFoundException" in caplog.text

        resume(parked, questions.answer(ti.id, "Send anyway"))

        assert believed(shrunk) == set(STAYING)

    def test_a_question_that_airflow_does_not_take_is_retried_with_the_same_export(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance
    ) -> None:
        questions.refuses = True
        with pytest.raises(QuestionError, match=r"150 of 200 .* could not be put"):
            sync(on_guard="ask")
        questions.refuses = False
        ti.try_number = 2

        park(sync)

        assert shrunk.amplitude.exports_spent == 1

    def test_an_airflow_that_repeats_an_old_answer_is_not_asked_for_ever(
        shrunk: Sandbox, sync: Sync, questions: FakeQuestions, ti: FakeTaskInstance, resume: Any
    ) -> None:
        parked = park(sync)
        old = questions.answer(ti.id, "Send anyway", code="ABC123")
        with pytest.raises(Parked) as again:
            resume(parked, old)

        with pytest.raises(QuestionError, match="keeps the answer to an earlier question"):
            resume(again.value, old)
        assert len(believed(shrunk)) == 200
