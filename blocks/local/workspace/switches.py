"""The rules of the cloud that nobody could establish, as switches.

Each one is marked [U] (uncertain) in the notes that this workspace was built from. The default is
the behaviour that is harder on a client: what works here works whichever way the cloud decides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Switches:
    """How the workspace behaves where the cloud's behaviour is not known.

    Attributes:
        repair_inherits_parameters: A repair keeps the parameters of ``run-now`` (or of the repair
            before) that it does not give itself. Off: they fall back to the job's defaults.
        repair_of_submitted_runs: A run made by ``runs/submit`` can be repaired, with the settings
            that it was submitted with. Off: 400.
        deleting_a_job_cancels_its_runs: ``jobs/delete`` cancels the job's active runs. Off: they
            run to their end.
    """

    repair_inherits_parameters: bool = False
    repair_of_submitted_runs: bool = False
    deleting_a_job_cancels_its_runs: bool = True
