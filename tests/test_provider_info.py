"""What Airflow learns at discovery is valid, cheap to learn, and true."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, redact
from airflow.providers_manager import ProviderInfo, ProvidersManager

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.get_provider_info import connection_type, get_provider_info
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook
from airflow_provider_amplitude_segment.hooks.segment_api import SegmentApiHook
from airflow_provider_amplitude_segment.transfers.amplitude_to_segment import AmplitudeCohortToSegmentOperator

HOOKS = [AmplitudeHook, SegmentHook, SegmentApiHook]
Hook = AmplitudeHook | SegmentHook | SegmentApiHook
PACKAGE = Path(airflow_provider_amplitude_segment.__file__).parent
AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
AIRFLOW_2 = AIRFLOW < (3, 0)
MAKES_FORMS_OF_HOOKS = AIRFLOW < (3, 2)
"""Before 3.2 Airflow asks the hooks' methods, and not the provider's metadata."""


def test_discovery_imports_nothing_of_airflow() -> None:
    """Every Airflow command does it, installed or not."""
    program = (
        "import sys; from airflow_provider_amplitude_segment.get_provider_info import get_provider_info;"
        "get_provider_info(); sys.exit(any(name.split('.')[0] in ('airflow', 'requests', 'duckdb')"
        " for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)  # noqa: S603


def test_a_hook_brings_no_http_library_into_a_dag_file() -> None:
    """A DAG file is read again and again."""
    program = (
        "import sys; from airflow.providers.common.compat.sdk import BaseHook; before = set(sys.modules);"
        "import airflow_provider_amplitude_segment.hooks.amplitude;"
        "import airflow_provider_amplitude_segment.hooks.segment;"
        "import airflow_provider_amplitude_segment.hooks.segment_api;"
        "more = {name.split('.')[0] for name in set(sys.modules) - before};"
        "sys.exit(str(more & {'requests', 'aiohttp', 'duckdb', 'urllib3', 'wtforms'}) if"
        " more & {'requests', 'aiohttp', 'duckdb', 'urllib3', 'wtforms'} else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)  # noqa: S603


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_what_is_declared_of_it(hook: type[Hook]) -> None:
    """By class, type and name."""
    declared = connection_type(hook.conn_type)
    assert declared["hook-class-name"] == f"{hook.__module__}.{hook.__qualname__}"
    assert declared["hook-name"] == hook.hook_name
    assert getattr(hook("some_connection"), hook.conn_name_attr) == "some_connection"
    assert getattr(hook(), hook.conn_name_attr) == hook.default_conn_name


@pytest.mark.parametrize("hook", HOOKS)
def test_this_airflow_makes_the_form_that_is_declared(hook: type[Hook]) -> None:
    """Airflow before 3.2 asks the hook for widgets, later ones read the metadata; both come to the same fields."""
    declared = connection_type(hook.conn_type)
    make = form_of_airflow_2 if AIRFLOW_2 else form_of_airflow_3

    form = make(hook)

    assert list(form.fields) == list(declared["conn-fields"])
    for name, field in declared["conn-fields"].items():
        schema = field["schema"]
        assert form.fields[name] == FormField(
            label=field["label"],
            help=field["description"],
            default=schema.get("default"),
            choices=choices_of(schema),
            is_number="integer" in schema["type"],
            is_hidden=schema.get("format") == "password",
        )
    assert form.labels == declared["ui-field-behaviour"]["relabeling"]
    hidden = {*declared["ui-field-behaviour"]["hidden-fields"], *({"port"} if MAKES_FORMS_OF_HOOKS else ())}
    assert form.hidden == hidden
    assert {"host", "login", "password", "port"} - hidden <= set(form.placeholders)


def choices_of(schema: dict[str, Any]) -> dict[str, str]:
    """Return the choices as this Airflow shows them: 2.11 as a text field, 3.0 and 3.1 without names."""
    shown: dict[str, str] = {} if AIRFLOW_2 else schema.get("values_display", {})
    return {value: value for value in shown} if MAKES_FORMS_OF_HOOKS else shown


@pytest.mark.parametrize("hook", HOOKS)
def test_every_field_has_help_and_every_choice_a_name(hook: type[Hook]) -> None:
    for field in connection_type(hook.conn_type)["conn-fields"].values():
        assert field["description"].endswith(".")
        assert list(field["schema"].get("values_display", {})) == field["schema"].get("enum", [])


def test_secrets_of_extra_are_hidden_in_the_form_and_masked_by_airflow() -> None:
    hidden = {
        name
        for hook in HOOKS
        for name, field in connection_type(hook.conn_type)["conn-fields"].items()
        if field["schema"].get("format") == "password"
    }
    assert hidden == {"profile_api_token", "oauth_private_key"}
    values: Any = redact(dict.fromkeys(hidden, "hush"))
    assert values == dict.fromkeys(hidden, "***")


@dataclass(frozen=True)
class FormField:
    """The visible parts of a field."""

    label: str
    help: str
    default: object
    choices: dict[str, str]
    is_number: bool
    is_hidden: bool


@dataclass(frozen=True)
class Form:
    """The visible parts of a form: the fields of Extra, and the labels of the connection's own fields."""

    fields: dict[str, FormField]
    labels: dict[str, str]
    placeholders: dict[str, str]
    hidden: set[str]


def form_of_airflow_2(hook: type[Hook]) -> Form:
    """As its provider manager keeps it: one field of a kind that it does not take, and it keeps none."""
    manager = ProvidersManager()
    info = manager._import_hook(
        connection_type=None,
        provider_info=ProviderInfo("0", get_provider_info(), "package"),
        hook_class_name=f"{hook.__module__}.{hook.__qualname__}",
        package_name="airflow-provider-amplitude-segment",
    )
    assert info is not None
    assert (info.connection_type, info.hook_name) == (hook.conn_type, hook.hook_name)
    prefix = f"extra__{hook.conn_type}__"
    unbound = {
        name.removeprefix(prefix): found.field
        for name, found in manager._connection_form_widgets.items()
        if name.startswith(prefix)
    }
    behaviour = manager._field_behaviours[hook.conn_type]
    return Form(
        {name: seen_on_airflow_2(field) for name, field in fill_in(unbound)._fields.items()},
        behaviour["relabeling"],
        behaviour["placeholders"],
        set(behaviour["hidden_fields"]),
    )


def fill_in(unbound: dict[str, Any], **filled: str) -> Any:
    """Return a form of Airflow 2 as it comes back from a browser, empty where nothing was filled in."""
    wtforms = importlib.import_module("wtforms")
    answers = importlib.import_module("werkzeug.datastructures").MultiDict(filled)
    return type("ConnectionForm", (wtforms.Form,), unbound)(answers)


def seen_on_airflow_2(field: Any) -> FormField:
    # As a page of the web server renders it.
    babel, flask = importlib.import_module("flask_babel"), importlib.import_module("flask")
    app = flask.Flask("form")
    babel.Babel(app)
    with app.test_request_context():
        assert str(field()).startswith("<input")
        label, description = str(field.label.text), str(field.description)
    kind = type(field).__name__
    return FormField(label, description, field.default, {}, kind == "IntegerField", kind == "PasswordField")


def form_of_airflow_3(hook: type[Hook]) -> Form:
    """As its API server hands it to the browser."""
    connections = importlib.import_module("airflow.api_fastapi.core_api.services.ui.connections")
    forms = {form.connection_type: form for form in connections.HookMetaService.hook_meta_data()}
    form = forms[hook.conn_type]
    assert form.hook_name == hook.hook_name
    own = {
        "schema" if name == "url_schema" else name: field
        for name, field in form.standard_fields.model_dump().items()
        if field is not None
    }
    return Form(
        {
            name: FormField(
                field["schema"]["title"],
                field["description"],
                field["value"],
                field["schema"].get("values_display") or {value: value for value in field["schema"].get("enum", [])},
                "integer" in field["schema"]["type"],
                field["schema"].get("format") == "password",
            )
            for name, field in form.extra_fields.items()
        },
        {name: field["title"] for name, field in own.items() if field["title"]},
        {name: field["placeholder"] for name, field in own.items() if field["placeholder"]},
        {name for name, field in own.items() if field["hidden"]},
    )


if AIRFLOW_2:
    # Airflow 3 leaves it to the browser.

    @pytest.mark.parametrize(
        ("filled", "wrong"),
        [
            ({"region": "EU", "timeout": "5"}, set()),
            ({"region": "", "timeout": ""}, set()),
            ({}, set()),
            ({"region": "AP"}, {"region"}),
            ({"timeout": "0"}, {"timeout"}),
            ({"timeout": "soon"}, {"timeout"}),
        ],
    )
    def test_the_form_of_airflow_2_takes_what_the_hook_takes(filled: dict[str, str], wrong: set[str]) -> None:
        form = fill_in(AmplitudeHook.get_connection_form_widgets(), **filled)

        assert form.validate() is not bool(wrong)
        assert set(form.errors) == wrong


def test_every_integration_that_a_transfer_names_is_declared() -> None:
    info = get_provider_info()
    links = [path.rpartition(".") for path in info["extra-links"]]
    assert [getattr(importlib.import_module(module), name)().name for module, _, name in links] == [
        link.name for link in AmplitudeCohortToSegmentOperator.operator_extra_links
    ]
    integrations = {entry["integration-name"] for entry in info["integrations"]}
    for transfer in info["transfers"]:
        assert {transfer["source-integration-name"], transfer["target-integration-name"]} <= integrations


def test_a_connection_type_that_is_not_declared_is_none_of_ours() -> None:
    """``segment`` is the official provider's."""
    with pytest.raises(KeyError):
        connection_type("segment")


def test_a_dag_that_airflow_has_written_down_and_read_again_has_the_links() -> None:
    """Airflow 2 takes no link that no provider declares."""
    serialization = importlib.import_module("airflow.serialization.serialized_objects")
    with DAG("linked", schedule=None) as dag:
        AmplitudeCohortToSegmentOperator(task_id="sync", cohort_id="c1")
        AmplitudeCohortToSegmentOperator.partial(task_id="mapped").expand(cohort_id=["c1", "c2"])
    # It got its name in 3.2.
    serialized = getattr(serialization, "DagSerialization", None) or serialization.SerializedDAG

    read_again = serialized.from_dict(serialized.to_dict(dag))

    for task in read_again.tasks:
        assert sorted(task.extra_links) == ["Cohort in Amplitude", "Debugger in Segment"]


@pytest.mark.parametrize("operator", ["transfers.amplitude_to_segment", "operators.retire_trait", "operators.verify"])
def test_an_operator_brings_its_own_module_and_its_links_into_a_dag_file_and_the_errors_at_most(operator: str) -> None:
    """Everything a task needs, DuckDB, requests and the rest of this package, is imported when it runs."""
    program = (
        "import json, sys; from airflow.providers.common.compat.sdk import BaseOperator, BaseOperatorLink, conf;"
        "before = set(sys.modules);"
        f"import airflow_provider_amplitude_segment.{operator};"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], check=True, cwd=PACKAGE.parent, capture_output=True, text=True
    ).stdout
    package = "airflow_provider_amplitude_segment"
    brought = set(json.loads(printed.splitlines()[-1])) - {package}
    optional = {
        f"{package}.exceptions",
        f"{package}.links.amplitude",
        f"{package}.task.reporting.lineage",
        f"{package}.task.reporting.verify_lineage",
    }
    assert brought - optional == {
        f"{package}.links",
        f"{package}.links.pushed_link",
        f"{package}.links.segment",
        f"{package}.task",
        f"{package}.task.reporting",
        f"{package}.task.stopping",
        f"{package}.{operator.partition('.')[0]}",
        f"{package}.{operator}",
    }
