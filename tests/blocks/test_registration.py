"""Block documents from the environment."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_aws.s3 import S3Bucket
from prefect_databricks import DatabricksCredentials
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import make_url

from blocks.databricks import DatabricksJob
from blocks.databricks.checks import problems
from blocks.databricks.compute import Compute, ComputeKind, compute_of
from blocks.local.object_store import ObjectStore
from blocks.registration import (
    JOB_PARAMETERS,
    TASKS,
    IncompleteSettingsError,
    PrefectUnreachableError,
    Settings,
    blocks_from,
    register,
    settings_from_environment,
)

PROJECT = Path(__file__).resolve().parents[2]
VALUES = {
    "databricks_host": "https://dbc-1.cloud.databricks.com/",
    "databricks_token": "t",
    "renewables_bucket": "b",
    "database_url": "sqlite:///:memory:",
}


@pytest.mark.parametrize(
    "given",
    [
        "dbc-1.cloud.databricks.com",
        "https://dbc-1.cloud.databricks.com/",
        "https://dbc-1.cloud.databricks.com/?o=123#job/4",
    ],
)
def test_the_host_may_be_given_as_others_show_it(given: str) -> None:
    settings = Settings.model_validate({**VALUES, "databricks_host": given})
    credentials, job, _, bucket, connector = blocks_from(settings)
    assert isinstance(credentials, DatabricksCredentials)
    assert credentials.databricks_instance == "dbc-1.cloud.databricks.com"
    assert isinstance(job, DatabricksJob)
    assert job.job_name == "renewables"
    assert isinstance(bucket, S3Bucket)
    assert isinstance(connector, SqlAlchemyConnector)


CLUSTER = {"num_workers": 8}


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ({}, ComputeKind.JOB_CLUSTER, "shared"),
        ({"databricks_job_cluster": CLUSTER}, ComputeKind.JOB_CLUSTER, "shared"),
        ({"databricks_cluster_id": "1-x"}, ComputeKind.EXISTING_CLUSTER, "1-x"),
        ({"databricks_serverless_compute_id": "auto"}, ComputeKind.SERVERLESS, ""),
    ],
)
def test_the_notebooks_run_where_the_settings_say(
    given: dict[str, Any], kind: ComputeKind, name: str
) -> None:
    job = blocks_from(Settings.model_validate({**VALUES, **given}))[1]
    assert isinstance(job, DatabricksJob)
    assert problems(job, JOB_PARAMETERS, "") == []
    for task in job.tasks:
        assert compute_of(job, task) == Compute(kind, name)
    if "databricks_job_cluster" in given:
        assert job.job_clusters == {"shared": CLUSTER}


def test_two_places_to_run_exclude_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    both = {"databricks_cluster_id": "1-x", "databricks_serverless_compute_id": "auto"}
    for name, value in {**VALUES, **both}.items():
        monkeypatch.setenv(name.upper(), value)
    said = "only one of DATABRICKS_CLUSTER_ID, DATABRICKS_SERVERLESS_COMPUTE_ID"
    with pytest.raises(IncompleteSettingsError, match=said):
        settings_from_environment()


def test_the_jobs_notebooks_get_its_parameters() -> None:
    for task in TASKS:
        assert (PROJECT / task.notebook).is_file()
        for value in task.parameters.values():
            assert value.removeprefix("{{job.parameters.").removesuffix("}}") in JOB_PARAMETERS


def test_an_env_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VALUES:
        monkeypatch.delenv(name.upper(), raising=False)
    lines = [f"{name.upper()}={value}" for name, value in VALUES.items()]
    Path(".env").write_text("\n".join([*lines, "DATABRICKS_CLIENT_ID=", "SOMETHING_ELSE=1"]))
    monkeypatch.setenv("RENEWABLES_BUCKET", "other")
    settings = settings_from_environment()
    assert settings.renewables_bucket == "other"
    assert settings.databricks_host == "dbc-1.cloud.databricks.com"
    assert settings.databricks_client_id is None


def test_what_is_missing_is_named_without_any_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VALUES:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", "hidden-word")
    with pytest.raises(IncompleteSettingsError) as caught:
        settings_from_environment()
    assert "DATABRICKS_HOST, RENEWABLES_BUCKET" in str(caught.value)
    assert "hidden-word" not in str(caught.value)


def test_the_example_names_every_setting() -> None:
    example = (PROJECT / ".env.example").read_text()
    for name in Settings.model_fields:
        assert f"{name.upper()}=" in example, name


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:p%40ss%2Fword@db.example:5433/name?sslmode=require",
        "sqlite:////data/x.db",
    ],
)
def test_the_password_of_the_database_is_a_secret_of_its_block(url: str) -> None:
    connector = blocks_from(Settings.model_validate({**VALUES, "database_url": url}))[-1]
    assert isinstance(connector, SqlAlchemyConnector)
    with connector:
        made = connector.get_engine().url
    assert made == make_url(url)
    assert "p@ss/word" not in connector.model_dump_json() + repr(connector)


PRINCIPAL = {"databricks_client_id": "hidden-word", "databricks_client_secret": "hidden-word"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"databricks_token": "hidden-word", **PRINCIPAL}, "Give either DATABRICKS_TOKEN, or"),
        ({"databricks_client_id": "hidden-word"}, "Give either DATABRICKS_TOKEN, or"),
        ({}, "Give either DATABRICKS_TOKEN, or"),
        (
            {"databricks_token": "t", "database_url": "hidden-word://u:hidden-word@h/d"},
            "DATABASE_URL cannot be used",
        ),
        (
            {"databricks_token": "t", "databricks_job_cluster": '{"hidden-word'},
            "Set DATABRICKS_JOB_CLUSTER",
        ),
    ],
)
def test_what_cannot_work_is_one_sentence_without_any_value(
    values: dict[str, str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    given = {**{name: VALUES[name] for name in VALUES if name != "databricks_token"}, **values}
    Path(".env").write_text("\n".join(f"{name.upper()}={given[name]}" for name in given))
    with pytest.raises(IncompleteSettingsError) as caught:
        settings_from_environment()
    assert str(caught.value).startswith(sentence)
    assert "hidden-word" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tenant", [None, "00000000-0000-0000-0000-000000000000"])
def test_a_service_principal_may_start_the_job(tenant: str | None) -> None:
    values = {**VALUES, **PRINCIPAL, "databricks_token": None, "databricks_tenant_id": tenant}
    credentials = blocks_from(Settings.model_validate(values))[0]
    assert isinstance(credentials, DatabricksCredentials)
    assert (credentials.token, credentials.tenant_id) == (None, tenant)
    assert credentials.client_secret is not None
    assert credentials.client_secret.get_secret_value() == "hidden-word"


def test_a_prefect_api_that_is_away_is_one_sentence() -> None:
    with (
        temporary_settings({PREFECT_API_URL: "http://localhost:9/api"}),
        pytest.raises(
            PrefectUnreachableError, match="No Prefect API answers at http://localhost:9"
        ),
    ):
        register(Settings.model_validate(VALUES))


@contextmanager
def _role(store: ObjectStore) -> Iterator[str]:
    """Serve credentials as the container services of AWS do for a task's role; give the URL."""

    class Endpoint(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {
                "AccessKeyId": store.access_key,
                "SecretAccessKey": store.secret_key,
                "Token": "",  # the store here knows permanent keys only
                "Expiration": "2999-01-01T00:00:00Z",
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    Thread(target=server.serve_forever).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/role"
    finally:
        server.shutdown()
        server.server_close()


def _can_use_the_bucket(store: ObjectStore, **aws: str) -> bool:
    values = {
        **VALUES,
        "aws_endpoint_url": store.endpoint,
        "aws_region": store.region,
        "renewables_bucket": store.bucket,
        **aws,
    }
    bucket = blocks_from(Settings.model_validate(values))[3]
    assert isinstance(bucket, S3Bucket)
    key = f"test-{uuid4()}"
    bucket.write_path(key, b"content")
    return bool(bucket.read_path(key) == b"content")


def test_the_bucket_is_reached_by_keys_by_profile_and_by_role(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    keys = {
        "aws_access_key_id": object_store.access_key,
        "aws_secret_access_key": object_store.secret_key,
    }
    profile = [f"{name}={value}" for name, value in keys.items()]
    (tmp_path / "credentials").write_text("\n".join(["[renewables]", *profile]))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert _can_use_the_bucket(object_store, **keys)
    assert _can_use_the_bucket(object_store, aws_profile="renewables")
    with _role(object_store) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        assert _can_use_the_bucket(object_store)
