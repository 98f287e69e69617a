"""The flow ``sweep``: ends and removes what flow runs left behind that could not do it themselves.

A flow run ends its Databricks run and takes its data away by itself. One whose process or machine
was killed cannot. This flow finds what belongs to flow runs that are over, and nothing else: what
it cannot trace to a flow run of this Prefect API stays as it is.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterEndTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import TERMINAL_STATES, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events.filters import (
    EventFilter,
    EventNameFilter,
    EventOrder,
    EventResourceFilter,
)
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.states import Crashed
from prefect_sqlalchemy import SqlAlchemyConnector
from pydantic import Field

from blocks.databricks import RunState
from flows.adopting import end_lost
from flows.connections import Connections
from flows.form import titled
from flows.naming import flow_run_id, is_run_key
from flows.object_storage import delete_folders, run_folders
from flows.record import record_of
from flows.renewable_analysis import renewable_analysis
from flows.repair_databricks_run import repair_databricks_run
from flows.temporary_tables import drop_tables, run_tables

_OURS = FlowFilter(name=FlowFilterName(any_=[renewable_analysis.name, repair_databricks_run.name]))
_ALIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
_PAGE = 200
# Twenty heartbeats; nor does a flow run bear it longer to be without the Prefect API.
_SILENCE = timedelta(minutes=10)


class Verdict(StrEnum):
    """What to do with what a flow run left behind."""

    LEAVE = "leave it"
    END = "end its Databricks run, keep its data for a repair"
    REMOVE = "end its Databricks run, remove its data"


@dataclass(frozen=True)
class Swept:
    """What a sweep did.

    Attributes:
        cancelled: Databricks runs that were still alive.
        tables: Temporary tables that were dropped.
        objects: How many objects were deleted.
        task_runs: How many task runs showed as alive whose process was killed.
        flow_runs: Flow runs that showed as running, and of which nothing was heard any more. The
            next sweep ends what they left.
    """

    cancelled: tuple[int, ...]
    tables: tuple[str, ...]
    objects: int
    task_runs: int
    flow_runs: tuple[UUID, ...]


def judge(
    state: StateType | None,
    ended: datetime | None,
    now: datetime,
    grace: timedelta,
    keep_failed: timedelta,
) -> Verdict:
    """Decide about a flow run.

    Args:
        state: The type of its state; None when it has none.
        ended: When it ended; None while it has not.
        now: The current time.
        grace: How long after its end a flow run is left alone, because it may be just cleaning up
            or about to be restarted.
        keep_failed: How long a failed or crashed flow run may still be retried, for which it needs
            its data.
    """
    if state not in TERMINAL_STATES or ended is None or now - ended < grace:
        return Verdict.LEAVE
    if state in (StateType.FAILED, StateType.CRASHED) and now - ended < keep_failed:
        return Verdict.END
    return Verdict.REMOVE


@flow(name="sweep")
def sweep(
    grace_minutes: Annotated[float, Field(ge=0), titled("Grace in minutes")] = 10,
    keep_failed_days: Annotated[float, Field(ge=0), titled("Days to keep failed runs")] = 7,
    connections: Annotated[Connections, titled("Connections")] = Connections(),  # noqa: B008
) -> Swept:
    """End Databricks runs and task runs, and remove tables and objects, of flow runs that are over.

    Args:
        grace_minutes: Flow runs that ended less than this ago are left alone.
        keep_failed_days: How long the data of a failed flow run stays, so that a retry can repair.
        connections: Prefect blocks that hold the connection details, by their names.
    """
    logger = get_run_logger()
    lost = tuple(_end_silent_flow_runs(datetime.now(UTC) - _SILENCE))
    bucket = connections.load_bucket()
    job = connections.load_databricks_job()
    alive: dict[str, list[RunState]] = defaultdict(list)
    for live in job.live_runs():
        if key := key_of(live):
            alive[key].append(live)
    taken_up = set(_runs_taken_up()) if alive else set()
    busy = {key for key, runs in alive.items() if any(run.run_id in taken_up for run in runs)}
    folders = run_folders(bucket)
    cancelled: list[int] = []
    dropped: list[str] = []
    objects = 0
    with SqlAlchemyConnector.load(connections.database) as connector:
        for key in sorted({*alive, *folders, *run_tables(connector)} - busy):
            grace, keep_failed = timedelta(minutes=grace_minutes), timedelta(days=keep_failed_days)
            verdict = _judge_run(key, alive.get(key, ()), grace, keep_failed)
            if verdict is not Verdict.LEAVE:
                logger.info("Flow run %s is over: %s", flow_run_id(key), verdict)
                for live in alive.get(key, ()):
                    with job.attach(live.run_id) as run:
                        run.cancel()
                    cancelled.append(live.run_id)
            if verdict is Verdict.REMOVE:
                dropped += drop_tables(connector, key)
                objects += delete_folders(bucket, sorted(folders.get(key, ())))
    ended = _end_task_runs(datetime.now(UTC) - timedelta(minutes=grace_minutes))
    return Swept(tuple(cancelled), tuple(dropped), objects, ended, lost)


def key_of(run: RunState) -> str | None:
    """Return the run key in the paths that a Databricks run was given, None without one."""
    key = run.job_parameters.get("subset_path", "").rpartition("/")[2]
    return key if is_run_key(key) else None


def _runs_taken_up() -> Iterator[int]:
    """Yield the Databricks runs of flow runs that are alive, which may repair those of others."""
    with get_client(sync_client=True) as client:
        records = (record_of(each) for each in _flow_runs_alive(client, of=None))
        yield from (record.run_id for record in records if record and record.run_id)


def _flow_runs_alive(client: SyncPrefectClient, of: FlowFilter | None) -> list[FlowRun]:
    alive = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ALIVE))))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_filter=of,
        flow_run_filter=alive,
        sort=FlowRunSort.ID_DESC,
        limit=_PAGE,
        offset=len(found),
    ):
        found += page
    return found


def _end_silent_flow_runs(heard_since: datetime) -> Iterator[UUID]:
    """End flow runs whose machine is gone, and yield their ids.

    Nobody else would: whoever reports that a process has died was on the same machine. A flow run
    that has sent no heartbeat ever is left alone: it may be that it sends none.
    """
    with get_client(sync_client=True) as client:
        for each in _flow_runs_alive(client, of=_OURS):
            beats = EventFilter(
                event=EventNameFilter(name=["prefect.flow-run.heartbeat"]),
                resource=EventResourceFilter(id=[f"prefect.flow-run.{each.id}"]),
                order=EventOrder.DESC,
            )
            heard = client.read_events(beats, limit=1).events
            # It may have been started again since.
            if each.state and heard and max(heard[0].occurred, each.state.timestamp) < heard_since:
                since = f"{heard[0].occurred.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
                end_lost(client, each.id, each.state, f"Not heard of since {since}.")
                yield each.id


def _end_task_runs(before: datetime) -> int:
    """End task runs that show as alive, of flow runs that were over by then; return how many."""
    over = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(TERMINAL_STATES))),
        end_time=FlowRunFilterEndTime(before_=before),
    )
    alive = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=list(_ALIVE))))
    end: State[Any] = Crashed(message="The process of its flow run was killed.")
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(
            flow_filter=_OURS, flow_run_filter=over, task_run_filter=alive, limit=_PAGE
        )
        for task_run in found:
            client.set_task_run_state(task_run.id, end, force=True)
    return len(found)


def _judge_run(
    key: str, alive: Iterable[RunState], grace: timedelta, keep_failed: timedelta
) -> Verdict:
    with get_client(sync_client=True) as client:
        try:
            found = client.read_flow_run(flow_run_id(key))
        except ObjectNotFound:
            return Verdict.LEAVE
    if found.end_time and any(repaired_since(run, found.end_time) for run in alive):
        return Verdict.LEAVE
    return judge(found.state_type, found.end_time, datetime.now(UTC), grace, keep_failed)


def repaired_since(run: RunState, ended: datetime) -> bool:
    """Say whether others have sent the latest repair of a run: its flow run was over by then."""
    return run.repairs > 0 and run.history[-1].start_time / 1000 > ended.timestamp()
