"""Which block documents a flow run uses."""

from typing import cast

from prefect_aws.s3 import S3Bucket
from pydantic import BaseModel, Field

from blocks.databricks import DatabricksJob


class Connections(BaseModel):
    """Names of block documents. Their values never pass through a deployment."""

    database: str = Field(
        default="renewables", description="Name of the SQLAlchemy Connector block."
    )
    bucket: str = Field(default="renewables", description="Name of the S3 Bucket block.")
    databricks_job: str = Field(
        default="renewables", description="Name of the Databricks Job block."
    )

    def load_bucket(self) -> S3Bucket:
        """Load the block of the bucket."""
        return cast(S3Bucket, S3Bucket.load(self.bucket))

    def load_databricks_job(self) -> DatabricksJob:
        """Load the block of the Databricks job."""
        return cast(DatabricksJob, DatabricksJob.load(self.databricks_job))
