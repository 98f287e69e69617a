"""Which block documents a flow run uses."""

from pydantic import BaseModel, Field


class Connections(BaseModel):
    """Names of block documents. Their values never pass through a deployment."""

    database: str = Field(
        default="renewables", description="Name of the SQLAlchemy Connector block."
    )
    bucket: str = Field(default="renewables", description="Name of the S3 Bucket block.")
    databricks_job: str = Field(
        default="renewables", description="Name of the Databricks Job block."
    )
