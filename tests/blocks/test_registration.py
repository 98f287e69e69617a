"""Block documents from the environment."""

from pathlib import Path

import pytest
from prefect_aws.s3 import S3Bucket
from prefect_databricks import DatabricksCredentials
from prefect_sqlalchemy import SqlAlchemyConnector
from sqlalchemy import make_url

from blocks.databricks import DatabricksJob
from blocks.databricks.spec import check_tasks
from blocks.registration import (
    JOB_PARAMETERS,
    TASKS,
    IncompleteSettingsError,
    Settings,
    blocks_from,
    settings_from_environment,
)

PROJECT = Path(__file__).resolve().parents[2]
VALUES = {
    "databricks_host": "https://dbc-1.cloud.databricks.com/",
    "databricks_token": "t",
    "renewables_bucket": "b",
    "database_url": "sqlite:///:memory:",
}


def test_the_host_may_be_given_as_databricks_own_tools_want_it() -> None:
    credentials, job, _, bucket, connector = blocks_from(Settings.model_validate(VALUES))
    assert isinstance(credentials, DatabricksCredentials)
    assert credentials.databricks_instance == "dbc-1.cloud.databricks.com"
    assert isinstance(job, DatabricksJob)
    assert job.job_name == "renewables"
    assert isinstance(bucket, S3Bucket)
    assert isinstance(connector, SqlAlchemyConnector)


def test_a_cluster_of_the_users_own_is_taken() -> None:
    cluster = {"num_workers": 8}
    job = blocks_from(Settings.model_validate({**VALUES, "databricks_job_cluster": cluster}))[1]
    assert isinstance(job, DatabricksJob)
    assert job.new_cluster == cluster


def test_the_job_of_the_project_can_run() -> None:
    check_tasks(TASKS)
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
    assert settings.databricks_host == VALUES["databricks_host"]
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
    assert "DATABASE_URL, DATABRICKS_HOST, RENEWABLES_BUCKET" in str(caught.value)
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
