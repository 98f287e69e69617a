"""The rules of the cloud that nobody could establish, as switches.

Each one is marked [U] (uncertain) in the notes that this workspace was built from. The default is
the behaviour that is harder on a client: what works here works whichever way the cloud decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_Limit = Annotated[int, Field(ge=0)]


class Switches(BaseModel):
    """How the workspace behaves where the cloud's behaviour is not known.

    Attributes:
        repair_inherits_parameters: A repair keeps the parameters of ``run-now`` (or of the repair
            before) that it does not give itself. Off: they fall back to the job's defaults.
        repair_of_submitted_runs: A run made by ``runs/submit`` can be repaired, with the settings
            that it was submitted with. Off: 400.
        repair_of_single_task_jobs: A run of a job with one task can be repaired. Off: 400.
        repair_without_selector: What a repair without ``rerun_tasks`` and
            ``rerun_all_failed_tasks`` is: ``refused``, or one of ``all_failed`` tasks.
        repair_of_added_tasks: A repair can run tasks that the job did not have when the run
            began. Off: 400.
        repair_of_removed_tasks: What a repair of a task is that the job does not have any more:
            ``refused``, or ``left_out`` of the repair.
        max_repairs: How many repairs a run can have; 0 for no limit.
        active_run_error_code: ``error_code`` when an active run is to be repaired or deleted.
        unknown_run_status: HTTP status for a run that does not exist: 400
            ``INVALID_PARAMETER_VALUE`` or 404 ``RESOURCE_DOES_NOT_EXIST``.
        unselected_tasks: How tasks that ``only`` does not select show in the run: ``left_out`` of
            it, or there as ``EXCLUDED`` or ``DISABLED``.
        upstream_failed_life_cycle: Life cycle state of a task whose upstream failed.
        tokens_shared_by_jobs: An idempotency token names one run in the whole workspace. Off: one
            of each job, and one of all submitted runs.
        token_hours: For how long an idempotency token is known; 0 for ever.
        deleting_a_job_cancels_its_runs: ``jobs/delete`` cancels the job's active runs. Off: they
            run to their end.
        deleting_a_job_deletes_its_runs: ``jobs/delete`` deletes the job's finished runs, too. Off:
            they can still be read.
        taken_path_status: HTTP status of ``workspace/import`` and ``mkdirs`` when something else
            is at the path; the code is ``RESOURCE_ALREADY_EXISTS``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    repair_inherits_parameters: bool = False
    repair_of_submitted_runs: bool = False
    repair_of_single_task_jobs: bool = True
    repair_without_selector: Literal["refused", "all_failed"] = "refused"
    repair_of_added_tasks: bool = False
    repair_of_removed_tasks: Literal["refused", "left_out"] = "refused"
    max_repairs: _Limit = 0
    active_run_error_code: Literal["INVALID_STATE", "INVALID_PARAMETER_VALUE"] = (
        "INVALID_PARAMETER_VALUE"
    )
    unknown_run_status: Literal["400", "404"] = "400"
    unselected_tasks: Literal["left_out", "EXCLUDED", "DISABLED"] = "left_out"
    upstream_failed_life_cycle: Literal["SKIPPED", "TERMINATED"] = "SKIPPED"
    tokens_shared_by_jobs: bool = True
    token_hours: _Limit = 0
    deleting_a_job_cancels_its_runs: bool = True
    deleting_a_job_deletes_its_runs: bool = True
    taken_path_status: Literal["400", "409"] = "400"


def parse_switches(texts: Iterable[str]) -> Switches:
    """Return switches as the command line sets them.

    Args:
        texts: ``name=value``; the last one counts.

    Raises:
        ValueError: There is no such switch, or it has no such value; the text says which there are.
    """
    given: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in Switches.model_fields:
            raise ValueError(
                f"{text!r} sets no switch; write NAME=VALUE with one of the names"
                f" {', '.join(Switches.model_fields)}."
            )
        given[name] = value
    try:
        return Switches.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        name = str(found["loc"][0])
        raise ValueError(f"The switch {name} cannot be {given[name]!r}: {found['msg']}.") from None
