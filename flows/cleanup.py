"""What a run leaves behind, and what it takes away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

from prefect import Flow, runtime
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import Pause
from prefect.futures import PrefectFuture, PrefectFutureList, wait
from prefect.logging import get_run_logger
from prefect.logging.loggers import flow_run_logger
from prefect_aws.s3 import S3Bucket
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks.databricks import DatabricksRun, Outcome, RunState
from flows.connections import Connections
from flows.naming import run_key
from flows.object_storage import (
    COUNTRY_SUBSET,
    JOINED_DATA,
    STAGES,
    TRANSFORMED_DATA,
    RunFolders,
    delete_folders,
    has_objects,
)
from flows.record import read_notes
from flows.temporary_tables import drop_tables

T = TypeVar("T")

# Which Databricks task writes which stage.
_WRITTEN_BY = {"join_data": JOINED_DATA, "transform_data": TRANSFORMED_DATA}


def needed_later(state: RunState) -> frozenset[str]:
    """Return the stages that a later repair, or a retry of the flow run, still reads.

    Args:
        state: The Databricks run of a flow run that failed.
    """
    if state.outcome is Outcome.CANCELED:
        return frozenset()
    done = {key for key, attempt in state.current.items() if attempt.outcome.ok}
    written = {stage for task_key, stage in _WRITTEN_BY.items() if task_key in done}
    return frozenset({COUNTRY_SUBSET} | written)


def all_exported(bucket: S3Bucket, folders: RunFolders, files: int) -> bool:
    """Say whether an earlier process of a flow run has exported every file, and all are there.

    If not, what was made of them is removed: a clean-up that was killed has left it, maybe in part.
    """
    if has_objects(bucket, folders.key(COUNTRY_SUBSET), at_least=files):
        return True
    delete_folders(bucket, [folders.key(JOINED_DATA), folders.key(TRANSFORMED_DATA)])
    return False


def remove_temporary_data(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Hook of ``renewable-analysis``: take away what a flow run that is over for good has left.

    On completion it comes after the final state, because a process that is killed between the two
    must find what it made when it is started again. On cancellation it runs in another process,
    for a flow process that was killed before it could clean up.
    """
    parameters = flow.validate_parameters(flow_run.parameters)
    if parameters["keep_intermediate"]:
        return
    folders = RunFolders(parameters["country"], run_key(flow_run.id))
    tables, objects = _remove(folders, parameters["connections"], STAGES)
    logger = flow_run_logger(flow_run, flow)
    logger.info("Removed %d temporary tables and %d objects", tables, objects)


@dataclass
class TemporaryData:
    """The temporary tables and objects of one run, taken away when its ``with`` block is left.

    When the flow is stopped, everything goes. After a failure, what :func:`needed_later` names
    stays. After success everything stays until that is final: see :func:`remove_temporary_data`.
    Objects and tables of other runs are never touched.

    Attributes:
        folders: Where the run keeps its objects.
        connections: Names of the blocks.
        keep: Leave everything in place.
    """

    folders: RunFolders
    connections: Connections
    keep: bool
    _job_run: DatabricksRun | None = None
    _submitted: list[PrefectFuture[Any]] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def finish(self, futures: PrefectFutureList[T]) -> list[T]:
        """Wait for all of some mapped task runs, then return their results.

        Raises:
            Exception: The first failure, raised only when no other of them runs any more.
        """
        self._submitted += futures
        wait(futures)
        results: list[T] = futures.result()
        return results

    def follow(self, job_run: DatabricksRun) -> None:
        """Mind what a job run still needs, from now on."""
        self._job_run = job_run

    def complete(self, run: RunState) -> bool:
        """Say whether everything is there that a Databricks run has made, or still needs."""
        bucket = self.connections.load_bucket()
        return all(has_objects(bucket, self.folders.key(stage)) for stage in needed_later(run))

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take away what nobody needs any more."""
        # Suspended, the flow run comes back for its data.
        if self.keep or exc is None or isinstance(exc, Pause):
            return
        # Task threads outlive an interrupted flow for a moment, and may still be writing.
        wait(self._submitted, timeout=15)
        logger = get_run_logger()
        try:
            kept = self._needed_later() if isinstance(exc, Exception) else frozenset()
            removed = [stage for stage in STAGES if stage not in kept]
            tables, objects = _remove(self.folders, self.connections, removed)
        except Exception as error:
            # The run's own verdict matters more than what is left of it.
            logger.exception(
                "Could not remove the temporary data of run %s (%s); the next sweep will.",
                self.folders.run_key,
                type(error).__name__,
            )
            return
        logger.info("Removed %d temporary tables and %d objects", tables, objects)
        if kept:
            logger.info("Kept for a repair: %s", ", ".join(sorted(map(self.folders.key, kept))))

    def _needed_later(self) -> frozenset[str]:
        if self._job_run is not None:
            return needed_later(self._job_run.state)
        # One that failed before it took up the job run of an earlier process; the next one may.
        started = read_notes(UUID(runtime.flow_run.id)).record is not None
        return frozenset(STAGES) if started else frozenset()


def _remove(
    folders: RunFolders, connections: Connections, stages: Iterable[str]
) -> tuple[int, int]:
    """Remove a run's tables, and its objects in the order of `stages`.

    The subset has to be the first: by one that is not whole, :func:`all_exported` knows that the
    rest may not be either.
    """
    with SqlAlchemyConnector.load(connections.database) as connector:
        tables = drop_tables(connector, folders.run_key)
    keys = [folders.key(stage) for stage in stages]
    return len(tables), delete_folders(connections.load_bucket(), keys)
