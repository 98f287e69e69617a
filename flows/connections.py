"""Which block documents a flow run uses."""

from typing import cast

from prefect_aws.s3 import S3Bucket
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import URL

from blocks.databricks import DatabricksJob
from flows.form import Text
from flows.prefect_api import patiently


class Connections(BaseModel):
    """Names of block documents. Their values never pass through a deployment."""

    model_config = ConfigDict(extra="forbid")

    database: Text = Field(
        default="renewables", description="Name of the SQLAlchemy Connector block."
    )
    bucket: Text = Field(default="renewables", description="Name of the S3 Bucket block.")
    databricks_job: Text = Field(
        default="renewables", description="Name of the Databricks Job block."
    )

    @patiently
    def database_url(self) -> URL:
        """Return where the database is; the password in it prints as asterisks."""
        with SqlAlchemyConnector.load(self.database) as connector:
            url: URL = connector.get_engine().url
        return url

    @patiently
    def load_bucket(self) -> S3Bucket:
        """Load the block of the bucket."""
        return cast(S3Bucket, S3Bucket.load(self.bucket))

    @patiently
    def load_databricks_job(self) -> DatabricksJob:
        """Load the block of the Databricks job."""
        return cast(DatabricksJob, DatabricksJob.load(self.databricks_job))
