"""Idempotency tokens: a request that is sent again starts nothing again."""

from __future__ import annotations

from blocks.local.workspace.clock import now
from blocks.local.workspace.errors import invalid
from blocks.local.workspace.store import Store
from blocks.local.workspace.switches import Switches

_HOUR_MILLISECONDS = 3600 * 1000


class IdempotencyTokens:
    """The tokens that started runs. Use it inside the transaction that starts the run.

    Args:
        store: Where they are kept.
        switches: Say how far and for how long a token is known.
    """

    def __init__(self, store: Store, switches: Switches) -> None:
        self._store = store
        self._switches = switches

    def run_id(self, token: str | None, job_id: int | None) -> int | None:
        """Return the run that a token started, or None if it is to start one.

        Args:
            token: Of the request, if it has one.
            job_id: The job to run; None for a submitted run.

        Raises:
            ApiError: The run of the token has been deleted.
        """
        if token is None:
            return None
        run_id = self._store.runs.run_of_token(self._name(token, job_id))
        if run_id is None:
            return None
        run = self._store.runs.get(run_id)
        if run is None:
            raise invalid("The run that was started with this idempotency token has been deleted.")
        hours = self._switches.token_hours
        return None if hours and now() >= run.started + hours * _HOUR_MILLISECONDS else run_id

    def reserve(self, token: str | None, job_id: int | None, run_id: int) -> None:
        """Remember which run a token started."""
        if token is not None:
            self._store.runs.reserve_token(self._name(token, job_id), run_id)

    def _name(self, token: str, job_id: int | None) -> str:
        return token if self._switches.tokens_shared_by_jobs else f"{job_id or 'submitted'}/{token}"
