"""Runs with their rounds and attempts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from blocks.local.workspace.runs import Attempt, Parameters, Round, Run, RunType, Stop
from blocks.local.workspace.specs import task_spec
from blocks.local.workspace.states import State
from blocks.local.workspace.store.database import Database, SqlValue


class Runs:
    """The tables of runs, rounds and attempts.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: Run) -> None:
        """Store a new run with its rounds and attempts."""
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                run.run_id,
                run.job_id,
                run.run_type,
                run.name,
                run.started,
                run.ended,
                not run.state.terminal,
                run.stop,
                _dump_state(run.state),
                run.parent,
            )
            for item in run.rounds:
                self.add_round(run.run_id, item)
            self.add_attempts(run.run_id, run.attempts)

    def add_round(self, run_id: int, item: Round) -> None:
        """Store a further round of a run."""
        self._database.execute(
            "INSERT INTO round VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            run_id,
            item.position,
            item.repair_id,
            _dump_state(item.state),
            json.dumps(item.settings),
            json.dumps(asdict(item.parameters)),
            item.requested,
            item.started,
            item.ended,
        )

    def add_attempts(self, run_id: int, attempts: Iterable[Attempt]) -> None:
        """Store further attempts of a run."""
        self._database.execute_many(
            "INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
            [
                (
                    attempt.run_id,
                    run_id,
                    attempt.task.key,
                    attempt.number,
                    attempt.round,
                    json.dumps(attempt.task.settings),
                    *_changeable(attempt),
                )
                for attempt in attempts
            ],
        )

    def change(self, run: Run) -> None:
        """Store what changed of a run and of its latest round."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE run SET started = ?, ended = ?, active = ?, stop = ?, state = ?"
                " WHERE run_id = ?",
                run.started,
                run.ended,
                not run.state.terminal,
                run.stop,
                _dump_state(run.state),
                run.run_id,
            )
            self._database.execute(
                "UPDATE round SET state = ?, settings = ?, started = ?, ended = ?"
                " WHERE run_id = ? AND round = ?",
                _dump_state(run.round.state),
                json.dumps(run.round.settings),
                run.round.started,
                run.round.ended,
                run.run_id,
                run.round.position,
            )

    def change_attempt(self, attempt: Attempt) -> None:
        """Store what changed of an attempt."""
        self._database.execute(
            "UPDATE attempt SET state = ?, started = ?, executing = ?, ended = ?, stop = ?,"
            " ending = ?, cluster_id = ? WHERE task_run_id = ?",
            *_changeable(attempt),
            attempt.run_id,
        )

    def set_resolved(
        self, task_run_id: int, resolved: Mapping[str, Any], outcome: str | None = None
    ) -> None:
        """Store the parameters that an attempt got, and what a condition task came to."""
        self._database.execute(
            "UPDATE attempt SET resolved = ?, outcome = ? WHERE task_run_id = ?",
            json.dumps(resolved),
            outcome,
            task_run_id,
        )

    def get(self, run_id: int) -> Run | None:
        """Return a run, or None."""
        with self._database.transaction():
            row = self._database.row("SELECT * FROM run WHERE run_id = ?", run_id)
            return None if row is None else self._run(row)

    def owner(self, task_run_id: int) -> int | None:
        """Return the id of the run that a task run belongs to, or None."""
        row = self._database.row("SELECT run_id FROM attempt WHERE task_run_id = ?", task_run_id)
        return None if row is None else int(row["run_id"])

    def child(self, task_run_id: int) -> Run | None:
        """Return the latest run that a task run started, or None."""
        with self._database.transaction():
            row = self._database.row(
                "SELECT * FROM run WHERE parent = ? ORDER BY run_id DESC", task_run_id
            )
            return None if row is None else self._run(row)

    def delete(self, run_id: int) -> None:
        """Remove a run with all that belongs to it."""
        self._database.execute("DELETE FROM run WHERE run_id = ?", run_id)

    def active(self, job_id: int | None = None) -> list[Run]:
        """Return the runs that have not ended, of one job or of all, oldest first."""
        with self._database.transaction():
            rows = self._database.rows(
                "SELECT * FROM run WHERE active = 1 AND (?1 IS NULL OR job_id = ?1)"
                " ORDER BY run_id",
                job_id,
            )
            return [self._run(row) for row in rows]

    def list_page(
        self,
        *,
        job_id: int | None = None,
        active: bool | None = None,
        run_type: str | None = None,
        started_from: int | None = None,
        started_to: int | None = None,
        skip: int,
        limit: int,
    ) -> list[Run]:
        """Return runs, newest first; those that hold iterations are left out.

        Args:
            job_id: Only runs of this job.
            active: Only runs that have not ended, or only those that have.
            run_type: Only runs of this type.
            started_from: Only runs started at this time or later, epoch milliseconds.
            started_to: Only runs started at this time or earlier, epoch milliseconds.
            skip: How many to leave out at the start.
            limit: How many to return at most.
        """
        conditions: dict[str, SqlValue] = {
            "job_id = ?": job_id,
            "active = ?": active,
            "run_type = ?": run_type,
            "started >= ?": started_from,
            "started <= ?": started_to,
        }
        given = {sql: value for sql, value in conditions.items() if value is not None}
        where = f"WHERE {' AND '.join([_LISTED, *given])}"
        with self._database.transaction():
            rows = self._database.rows(
                f"SELECT * FROM run {where} ORDER BY run_id DESC LIMIT ? OFFSET ?",  # noqa: S608 (fixed texts)
                *given.values(),
                limit,
                skip,
            )
            return [self._run(row) for row in rows]

    def delete_finished(self, job_id: int) -> None:
        """Remove the runs of a job that have ended, with everything that belongs to them."""
        self._database.execute("DELETE FROM run WHERE job_id = ? AND active = 0", job_id)

    def reserve_token(self, token: str, run_id: int) -> None:
        """Remember which run an idempotency token started."""
        self._database.execute(
            "INSERT OR REPLACE INTO idempotency_token VALUES (?, ?)", token, run_id
        )

    def run_of_token(self, token: str) -> int | None:
        """Return the run that an idempotency token started, or None."""
        row = self._database.row("SELECT run_id FROM idempotency_token WHERE token = ?", token)
        return None if row is None else int(row["run_id"])

    def _run(self, row: sqlite3.Row) -> Run:
        run_id = row["run_id"]
        rounds = self._database.rows("SELECT * FROM round WHERE run_id = ? ORDER BY round", run_id)
        attempts = self._database.rows(
            "SELECT * FROM attempt WHERE run_id = ? ORDER BY task_run_id", run_id
        )
        return Run(
            run_id=run_id,
            job_id=row["job_id"],
            run_type=RunType(row["run_type"]),
            name=row["name"],
            state=_load_state(row["state"]),
            started=row["started"],
            ended=row["ended"],
            rounds=tuple(_round(item) for item in rounds),
            attempts=tuple(_attempt(item) for item in attempts),
            stop=_stop(row["stop"]),
            parent=row["parent"],
        )


_LISTED = f"run_type != '{RunType.FOR_EACH}'"


def _changeable(attempt: Attempt) -> tuple[Any, ...]:
    return (
        _dump_state(attempt.state),
        attempt.started,
        attempt.executing,
        attempt.ended,
        attempt.stop,
        None if attempt.ending is None else _dump_state(attempt.ending),
        attempt.cluster_id,
    )


def _round(row: sqlite3.Row) -> Round:
    parameters: Mapping[str, Any] = json.loads(row["parameters"])
    return Round(
        position=row["round"],
        repair_id=row["repair_id"],
        state=_load_state(row["state"]),
        settings=json.loads(row["settings"]),
        parameters=Parameters(**parameters),
        requested=row["requested"],
        started=row["started"],
        ended=row["ended"],
    )


def _attempt(row: sqlite3.Row) -> Attempt:
    return Attempt(
        run_id=row["task_run_id"],
        task=task_spec(json.loads(row["settings"])),
        number=row["number"],
        round=row["round"],
        state=_load_state(row["state"]),
        started=row["started"],
        executing=row["executing"],
        ended=row["ended"],
        stop=_stop(row["stop"]),
        ending=None if row["ending"] is None else _load_state(row["ending"]),
        cluster_id=row["cluster_id"],
        resolved=None if row["resolved"] is None else json.loads(row["resolved"]),
        outcome=row["outcome"],
    )


def _stop(value: str | None) -> Stop | None:
    return None if value is None else Stop(value)


def _dump_state(state: State) -> str:
    return json.dumps(state.to_record())


def _load_state(text: str) -> State:
    return State.from_record(json.loads(text))
