"""Block documents from the environment: the one place where connection details come from."""

from typing import Any, Literal, Self
from urllib.parse import urlsplit

import httpx
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL
from prefect_aws import AwsCredentials
from prefect_aws.client_parameters import AwsClientParameters
from prefect_aws.s3 import S3Bucket
from prefect_databricks import DatabricksCredentials
from prefect_sqlalchemy import ConnectionComponents, SqlAlchemyConnector
from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ArgumentError

from blocks.databricks import DatabricksJob, NotebookTask
from blocks.databricks.spec import SHARED

DOCUMENT = "renewables"

TASKS = [
    NotebookTask(
        task_key="join_data",
        notebook="notebooks/join_data.py",
        parameters={
            "input_path": "{{job.parameters.subset_path}}",
            "output_path": "{{job.parameters.joined_path}}",
        },
    ),
    NotebookTask(
        task_key="transform_data",
        notebook="notebooks/transform_data.py",
        depends_on=["join_data"],
        parameters={
            "input_path": "{{job.parameters.joined_path}}",
            "output_path": "{{job.parameters.transformed_path}}",
        },
    ),
]
# Every run gives its own values; a job parameter needs a default all the same.
JOB_PARAMETERS = {"country": "", "subset_path": "", "joined_path": "", "transformed_path": ""}
# Settings of which each says where the notebooks run.
_COMPUTE = ("databricks_job_cluster", "databricks_cluster_id", "databricks_serverless_compute_id")


class Settings(BaseModel):
    """Connection details of every outside system.

    As environment variables they have the same names in upper case, which are those that
    Databricks' and AWS' own tools read, where there is one.
    """

    databricks_host: str = Field(description="Workspace host, or a URL of the workspace.")
    databricks_token: SecretStr | None = Field(None, description="Personal access token.")
    databricks_client_id: str | None = Field(None, description="OAuth service principal.")
    databricks_client_secret: SecretStr | None = Field(None, description="Its secret.")
    databricks_tenant_id: str | None = Field(None, description="Azure tenant, on Azure only.")
    databricks_ca_file: str | None = Field(
        None, description="Certificate authority to trust, for a workspace with one of its own."
    )
    databricks_job_cluster: dict[str, Any] | None = Field(
        None, description="Job cluster specification as JSON (Jobs API, new_cluster)."
    )
    databricks_cluster_id: str | None = Field(
        None, description="A cluster that is there already, instead of a job cluster."
    )
    databricks_serverless_compute_id: Literal["auto"] | None = Field(
        None, description="Serverless compute, instead of a job cluster."
    )
    aws_access_key_id: str | None = Field(None, description="Left out for a profile or a role.")
    aws_secret_access_key: SecretStr | None = Field(None, description="Belongs to the key.")
    aws_session_token: str | None = Field(None, description="For temporary credentials.")
    aws_profile: str | None = Field(None, description="Named profile of the AWS tools.")
    aws_region: str | None = Field(None, description="The bucket's region.")
    aws_endpoint_url: str | None = Field(None, description="An S3 store other than AWS.")
    renewables_bucket: str = Field(description="Bucket for the files between the steps.")
    database_url: SecretStr = Field(
        description="SQLAlchemy URL, such as postgresql+psycopg://user:password@host/name."
    )

    @field_validator("databricks_host")
    @classmethod
    def _host_of_a_url(cls, given: str) -> str:
        """Take what is copied from a browser's address bar, ``https://HOST/?o=1`` say."""
        return urlsplit(given if "://" in given else f"https://{given}").netloc

    @field_validator("database_url")
    @classmethod
    def _can_be_used(cls, given: SecretStr) -> SecretStr:
        try:
            create_engine(given.get_secret_value())  # connects to nothing yet
        except (ArgumentError, ImportError, ValueError):
            raise ValueError(
                "DATABASE_URL cannot be used: write postgresql+psycopg://user:password@host/name."
            ) from None
        return given

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        token = self.databricks_token is not None
        principal = (
            self.databricks_client_id is not None,
            self.databricks_client_secret is not None,
        )
        if principal != (not token, not token):
            raise ValueError(
                "Give either DATABRICKS_TOKEN, or DATABRICKS_CLIENT_ID with "
                "DATABRICKS_CLIENT_SECRET, to say who starts the job."
            )
        return self

    @model_validator(mode="after")
    def _one_place_to_run(self) -> Self:
        given = [name.upper() for name in _COMPUTE if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"Set only one of {', '.join(given)}, to say where the notebooks run.")
        return self


class _Environment(Settings, BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True)


class IncompleteSettingsError(ValueError):
    """The environment lacks connection details, or has wrong ones; the message says which."""


class PrefectUnreachableError(ConnectionError):
    """No Prefect API answers."""


def settings_from_environment() -> Settings:
    """Read the settings from the environment, and from ``.env`` in the current directory.

    Raises:
        IncompleteSettingsError: Some are missing, cannot be used, or exclude each other.
    """
    try:
        return _Environment()
    except ValidationError as error:
        raise IncompleteSettingsError(_complaint(error)) from None


def _complaint(error: ValidationError) -> str:
    """Say what is wrong. Pydantic's own message would quote the values."""
    problems = error.errors(include_url=False, include_input=False)
    ours = [str(item["ctx"]["error"]) for item in problems if item["type"] == "value_error"]
    names = sorted(
        str(item["loc"][0]).upper() for item in problems if item["type"] != "value_error"
    )
    if names:
        ours.insert(0, f"Set {', '.join(names)} in the environment or in .env; see .env.example.")
    return " ".join(ours)


def blocks_from(settings: Settings) -> list[Block]:
    """Build the block documents that the flows load, each after those that it refers to."""
    databricks = DatabricksCredentials(
        databricks_instance=settings.databricks_host,
        token=settings.databricks_token,
        client_id=settings.databricks_client_id,
        client_secret=settings.databricks_client_secret,
        tenant_id=settings.databricks_tenant_id,
        client_kwargs=(
            {"verify": settings.databricks_ca_file} if settings.databricks_ca_file else None
        ),
    )
    job = DatabricksJob(
        databricks_credentials=databricks,
        job_name=DOCUMENT,
        tasks=TASKS,
        parameters=JOB_PARAMETERS,
        **_compute(settings),
    )
    aws = AwsCredentials(
        aws_access_key_id=settings.aws_access_key_id,
        aws_secret_access_key=settings.aws_secret_access_key,
        aws_session_token=settings.aws_session_token,
        profile_name=settings.aws_profile,
        region_name=settings.aws_region,
        aws_client_parameters=AwsClientParameters(endpoint_url=settings.aws_endpoint_url),
    )
    bucket = S3Bucket(bucket_name=settings.renewables_bucket, credentials=aws)
    connector = SqlAlchemyConnector(connection_info=_components(settings.database_url))
    return [databricks, job, aws, bucket, connector]


def _components(database_url: SecretStr) -> ConnectionComponents:
    """Take a URL apart: Prefect shows one that is whole, password and all, in its UI and events."""
    url = make_url(database_url.get_secret_value())
    return ConnectionComponents(
        driver=url.drivername,
        database=url.database,
        username=url.username,
        password=url.password,
        host=url.host,
        port=url.port,
        query={name: str(value) for name, value in url.query.items()},
    )


def _compute(settings: Settings) -> dict[str, Any]:
    """Return the fields of the job that say where it runs; none for its default job cluster."""
    if settings.databricks_job_cluster:
        return {"job_clusters": {SHARED: settings.databricks_job_cluster}}
    if settings.databricks_cluster_id:
        return {"job_clusters": {}, "existing_cluster_id": settings.databricks_cluster_id}
    return {"job_clusters": {}} if settings.databricks_serverless_compute_id else {}


def register(settings: Settings) -> list[str]:
    """Create or update the block documents, and return their names (``type/document``).

    Raises:
        PrefectUnreachableError: No Prefect API answers.
    """
    names = []
    for block in blocks_from(settings):
        try:
            block.save(DOCUMENT, overwrite=True)
        except httpx.TransportError as error:
            raise PrefectUnreachableError(
                f"No Prefect API answers at {PREFECT_API_URL.value()}: check PREFECT_API_URL."
            ) from error
        names.append(f"{block.get_block_type_slug()}/{DOCUMENT}")
    return names
