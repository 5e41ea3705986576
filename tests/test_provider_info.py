"""What Airflow learns at discovery is valid, cheap to learn, and true."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import airflow
import jsonschema
import pytest
from airflow.providers_manager import ProviderInfo, ProvidersManager

import airflow_provider_amplitude_segment
from airflow_provider_amplitude_segment.get_provider_info import connection_type, get_provider_info
from airflow_provider_amplitude_segment.hooks.amplitude import AmplitudeHook
from airflow_provider_amplitude_segment.hooks.segment import SegmentHook

HOOKS = [AmplitudeHook, SegmentHook]
PACKAGE = Path(airflow_provider_amplitude_segment.__file__).parent
AIRFLOW_2 = version("apache-airflow").startswith("2.")


def test_it_keeps_to_airflows_schema() -> None:
    """The schema of the Airflow these tests run on."""
    (schema,) = Path(airflow.__path__[0]).glob("provider_info.schema.json")
    jsonschema.validate(get_provider_info(), json.loads(schema.read_text()))


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
        "more = {name.split('.')[0] for name in set(sys.modules) - before};"
        "sys.exit(str(more & {'requests', 'aiohttp', 'duckdb', 'urllib3', 'wtforms'}) if"
        " more & {'requests', 'aiohttp', 'duckdb', 'urllib3', 'wtforms'} else 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=PACKAGE.parent)  # noqa: S603


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_what_is_declared_of_it(hook: type[AmplitudeHook | SegmentHook]) -> None:
    """By class, type and name."""
    declared = connection_type(hook.conn_type)
    assert declared["hook-class-name"] == f"{hook.__module__}.{hook.__qualname__}"
    assert declared["hook-name"] == hook.hook_name
    assert getattr(hook("some_connection"), hook.conn_name_attr) == "some_connection"
    assert getattr(hook(), hook.conn_name_attr) == hook.default_conn_name


@pytest.mark.parametrize("hook", HOOKS)
def test_the_form_of_airflow_2_and_of_airflow_3_hide_and_name_the_same(
    hook: type[AmplitudeHook | SegmentHook],
) -> None:
    """One declaration serves both."""
    behaviour = hook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert "password" in behaviour["relabeling"]


@pytest.mark.parametrize("hook", HOOKS)
def test_this_airflow_makes_a_form_with_a_field_for_each_extra_we_read(
    hook: type[AmplitudeHook | SegmentHook],
) -> None:
    """Airflow 2 asks the hook for widgets, Airflow 3 reads the metadata; both come to the same fields."""
    make = fields_of_airflow_2 if AIRFLOW_2 else fields_of_airflow_3

    assert list(make(hook)) == list(connection_type(hook.conn_type)["conn-fields"])


def fields_of_airflow_2(hook: type[AmplitudeHook | SegmentHook]) -> list[str]:
    """Of no other kinds of field than it takes, or its provider manager drops them all."""
    manager = ProvidersManager()
    info = manager._import_hook(
        connection_type=None,
        provider_info=ProviderInfo("0", get_provider_info(), "package"),
        hook_class_name=f"{hook.__module__}.{hook.__qualname__}",
        package_name="airflow-provider-amplitude-segment",
    )
    assert info is not None
    assert (info.connection_type, info.hook_name) == (hook.conn_type, hook.hook_name)
    assert hook.conn_type in manager._field_behaviours
    prefix = f"extra__{hook.conn_type}__"
    return [name.removeprefix(prefix) for name in manager._connection_form_widgets if name.startswith(prefix)]


def fields_of_airflow_3(hook: type[AmplitudeHook | SegmentHook]) -> list[str]:
    """As its API server hands them to the browser."""
    connections = importlib.import_module("airflow.api_fastapi.core_api.services.ui.connections")
    forms = {form.connection_type: form for form in connections.HookMetaService.hook_meta_data()}
    form = forms[hook.conn_type]
    assert form.hook_name == hook.hook_name
    assert (
        form.standard_fields.password.title
        == connection_type(hook.conn_type)["ui-field-behaviour"]["relabeling"]["password"]
    )
    return list(form.extra_fields)


def test_every_module_it_names_is_there() -> None:
    """A misspelt one would only be a warning in a log."""
    info = get_provider_info()
    named = [module for kind in ("hooks", "triggers") for entry in info[kind] for module in entry["python-modules"]]
    named += [transfer["python-module"] for transfer in info["transfers"]]
    for module in named:
        importlib.import_module(module)
    integrations = {entry["integration-name"] for entry in info["integrations"]}
    for transfer in info["transfers"]:
        assert {transfer["source-integration-name"], transfer["target-integration-name"]} <= integrations


def test_a_connection_type_that_is_not_declared_is_none_of_ours() -> None:
    """``segment`` is the official provider's."""
    with pytest.raises(KeyError):
        connection_type("segment")


def test_the_operator_brings_three_modules_of_its_own_into_a_dag_file_and_nothing_else() -> None:
    """Everything a sync needs, DuckDB, requests and the rest of this package, is imported when the task runs."""
    program = (
        "import json, sys; from airflow.providers.common.compat.sdk import BaseOperator, conf;"
        "before = set(sys.modules);"
        "import airflow_provider_amplitude_segment.transfers.amplitude_to_segment;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], check=True, cwd=PACKAGE.parent, capture_output=True, text=True
    ).stdout
    package = "airflow_provider_amplitude_segment"
    brought = set(json.loads(printed.splitlines()[-1])) - {package}
    assert brought == {
        f"{package}.transfers",
        f"{package}.transfers.amplitude_to_segment",
        f"{package}.transfers.lineage",
    }
