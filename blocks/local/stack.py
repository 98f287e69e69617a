"""The embedded stack: every outside system of the pipeline, on this machine, for as long as needed.

::

    with embedded_stack(Path(".renewables")) as stack:
        os.environ.update(stack.environment())

The first client starts the servers, others share them, the last one to leave stops them; a client
that crashes or is killed leaves, too (see ``lease``). Data stays in the state folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from blocks.local.children import StackError
from blocks.local.lease import CORE, PREFECT, Group, leased

__all__ = ["StackDetails", "StackError", "embedded_stack"]


@dataclass(frozen=True)
class StackDetails:
    """How to reach the servers of a running stack.

    Attributes:
        database_url: SQLAlchemy URL, ``postgresql+psycopg://…``, the password in it.
        s3_endpoint: ``http://127.0.0.1:PORT``.
        s3_region: Name of the object store's region.
        s3_access_key: Its key.
        s3_secret_key: Its secret.
        s3_bucket: A bucket that exists.
        workspace_url: ``https://localhost:PORT`` of the Databricks workspace.
        workspace_token: Its bearer token.
        workspace_ca_file: Certificate of the authority that signed the workspace's.
        prefect_api_url: ``http://127.0.0.1:PORT/api``; None without a Prefect server.
    """

    database_url: str = field(repr=False)
    s3_endpoint: str
    s3_region: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)
    s3_bucket: str
    workspace_url: str
    workspace_token: str = field(repr=False)
    workspace_ca_file: str
    prefect_api_url: str | None = None

    def environment(self) -> dict[str, str]:
        """Return the environment variables from which ``renewables blocks`` makes its blocks."""
        variables = {
            "DATABASE_URL": self.database_url,
            "AWS_ENDPOINT_URL": self.s3_endpoint,
            "AWS_ACCESS_KEY_ID": self.s3_access_key,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret_key,
            "AWS_REGION": self.s3_region,
            "RENEWABLES_BUCKET": self.s3_bucket,
            "DATABRICKS_HOST": urlsplit(self.workspace_url).netloc,
            "DATABRICKS_TOKEN": self.workspace_token,
            "DATABRICKS_CA_FILE": self.workspace_ca_file,
        }
        if self.prefect_api_url:
            variables["PREFECT_API_URL"] = self.prefect_api_url
        return variables


def _say_nothing(message: str) -> None:
    pass


@contextmanager
def embedded_stack(
    state_dir: Path,
    *,
    prefect_server: bool = True,
    on_progress: Callable[[str], None] = _say_nothing,
) -> Iterator[StackDetails]:
    """Run the embedded stack, or join the one that runs in the same state folder.

    Args:
        state_dir: Folder for data, keys and logs; made when missing.
        prefect_server: Whether a Prefect server is needed, too.
        on_progress: Called with a short sentence whenever something is ready.

    Yields:
        How to reach the servers, all of which answer.

    Raises:
        StackError: A server does not start; the message says why and where its log is.
    """
    state_dir = state_dir.resolve()
    names = [CORE, PREFECT] if prefect_server else [CORE]
    with ExitStack() as leases:
        held = [leases.enter_context(leased(Group(state_dir, name))) for name in names]
        details: dict[str, str] = {}
        for lease in held:
            details |= lease.wait(lambda server: on_progress(f"{server} is ready"))
        yield StackDetails(**details)
