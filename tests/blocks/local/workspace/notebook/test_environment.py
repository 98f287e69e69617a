"""Which variables reach which process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.local.workspace.notebook.environment import engine_environment, notebook_environment

PARENT = {
    "PATH": "/bin",
    "LC_ALL": "C",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "DATABRICKS_TOKEN": "secret",
    "PREFECT_API_KEY": "secret",
}


def test_a_notebook_sees_no_settings_of_the_workspace() -> None:
    environment = notebook_environment(PARENT, "sc://127.0.0.1:1")
    assert environment["SPARK_REMOTE"] == "sc://127.0.0.1:1"
    assert environment["PATH"] == "/bin"
    assert environment["LC_ALL"] == "C"
    assert "secret" not in environment.values()


@given(st.dictionaries(st.text(), st.just("secret")))
def test_a_notebook_sees_nothing_that_is_not_known_to_be_harmless(extra: dict[str, str]) -> None:
    assert set(notebook_environment(extra, "")) <= {
        *("HOME", "LANG", "LOGNAME", "PATH", "PYTHONPATH", "SHELL", "TERM", "TMPDIR", "TZ"),
        *("USER", "VIRTUAL_ENV", "SPARK_REMOTE", "MPLBACKEND"),
        *(name for name in extra if name.startswith("LC_")),
    }


def test_the_engine_sees_credentials_for_object_storage_and_no_others() -> None:
    environment = engine_environment(PARENT)
    assert environment["AWS_SECRET_ACCESS_KEY"] == "secret"
    assert "DATABRICKS_TOKEN" not in environment
    assert "PREFECT_API_KEY" not in environment
    assert "AWS_ENDPOINT" not in environment


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize(
    ("endpoint", "allow_http"), [("http://127.0.0.1:1", "true"), ("https://s3.example", None)]
)
def test_an_endpoint_is_named_as_sail_wants_it(
    name: str, endpoint: str, allow_http: str | None
) -> None:
    environment = engine_environment({name: endpoint, "AWS_DEFAULT_REGION": "eu-north-1"})
    assert environment["AWS_ENDPOINT"] == endpoint
    assert environment.get("AWS_ALLOW_HTTP") == allow_http
    assert environment["AWS_REGION"] == "eu-north-1"
