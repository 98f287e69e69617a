"""Who and where this workspace is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The facts that answers and pages repeat.

    Attributes:
        url: ``https://localhost:PORT``, without a slash at the end.
        org_id: Number of the workspace, as in the ``o=`` of the cloud's URLs.
        user_name: The one user: everything is made and run by it.
        user_id: The user's number.
    """

    url: str
    org_id: int = 1
    user_name: str = "local@localhost"
    user_id: int = 2

    def run_page_url(self, job_id: int, run_id: int) -> str:
        """Return the address of the page of a run or task run, in the cloud's form."""
        return f"{self.url}/?o={self.org_id}#job/{job_id}/run/{run_id}"
