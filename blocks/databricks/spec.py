"""A multi-task job's definition, in the words of the Jobs API."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

# The cluster, or else the environment, of the tasks that name no compute.
SHARED = "shared"

RunIf = Literal[
    "ALL_SUCCESS",
    "AT_LEAST_ONE_SUCCESS",
    "NONE_FAILED",
    "ALL_DONE",
    "AT_LEAST_ONE_FAILED",
    "ALL_FAILED",
]
GitProvider = Literal[
    "gitHub",
    "gitHubEnterprise",
    "gitLab",
    "gitLabEnterpriseEdition",
    "bitbucketCloud",
    "bitbucketServer",
    "azureDevOpsServices",
    "awsCodeCommit",
]


class NotebookTask(BaseModel):
    """One notebook as a task of the job."""

    task_key: str = Field(
        description="The task's name in the job: letters, digits, dashes and underscores."
    )
    notebook: str = Field(
        description=(
            "Path of the notebook. With source WORKSPACE a file here (Databricks source format, "
            ".py), absolute or relative to the project's root, which is uploaded before a run; "
            "with source GIT a path in the repository of git_source."
        )
    )
    source: Literal["WORKSPACE", "GIT"] = Field(
        default="WORKSPACE", description="Where Databricks takes the notebook from."
    )
    depends_on: list[str] = Field(
        default=[], description="Keys of the tasks that have to end before this one starts."
    )
    run_if: RunIf = Field(
        default="ALL_SUCCESS",
        description="How the tasks that this one depends on have to end for it to run.",
    )
    parameters: dict[str, str] = Field(
        default={},
        description=(
            "Values for the notebook's widgets. Dynamic value references such as "
            "{{job.parameters.country}} are resolved by Databricks."
        ),
    )
    packages: list[str] = Field(
        default=[],
        description=(
            "Python packages that this notebook needs besides the job's. They are installed where "
            "it runs, so other tasks there have them too."
        ),
    )
    job_cluster_key: str = Field(
        default="",
        description=(
            "Which of the job clusters it runs on. Without this, an existing cluster and an "
            "environment: where the job's other tasks run."
        ),
    )
    existing_cluster_id: str = Field(
        default="", description="Id of a cluster that is there already, to run on."
    )
    environment_key: str = Field(
        default="", description="Which of the environments it runs in, on serverless compute."
    )
    extra_settings: dict[str, Any] = Field(
        default={},
        description=(
            "More settings of the task, as the Jobs API names them (max_retries, timeout_seconds, "
            "libraries from Maven …)."
        ),
    )


class GitSource(BaseModel):
    """A remote repository with notebooks, at one branch, tag or commit; or none."""

    git_url: str = Field(default="", description="The repository's URL; empty for none.")
    git_provider: GitProvider = Field(default="gitHub", description="Who hosts it.")
    git_branch: str = Field(default="", description="A branch; or else a tag or a commit.")
    git_tag: str = Field(default="", description="A tag; or else a branch or a commit.")
    git_commit: str = Field(default="", description="A commit; or else a branch or a tag.")

    @property
    def references(self) -> dict[str, str]:
        """The branch, tag or commit; one of them in a valid source."""
        given = {
            "git_branch": self.git_branch,
            "git_tag": self.git_tag,
            "git_commit": self.git_commit,
        }
        return {name: value for name, value in given.items() if value}


class RunAs(BaseModel):
    """Whose rights the runs have: those of a user or of a service principal."""

    user_name: str = Field(default="", description="A user's e-mail address.")
    service_principal_name: str = Field(
        default="", description="A service principal's application id."
    )

    @property
    def principal(self) -> dict[str, str]:
        """The user or service principal; not both in a valid definition."""
        given = {
            "user_name": self.user_name,
            "service_principal_name": self.service_principal_name,
        }
        return {name: value for name, value in given.items() if value}


class AccessControl(RunAs):
    """What a user, a service principal or a group may do with the job."""

    group_name: str = Field(default="", description="A group's name.")
    permission_level: Literal["CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"] = Field(
        description="What they may do; a job has one owner, which is no group."
    )

    @property
    def principal(self) -> dict[str, str]:
        """The user, service principal or group; one of them in a valid definition."""
        group = {"group_name": self.group_name} if self.group_name else {}
        return {**super().principal, **group}


class JobSpec(BaseModel):
    """All that a saved job is made of."""

    job_name: str = Field(
        min_length=1, max_length=4096, description="Name of the saved job; one job has one name."
    )
    tasks: list[NotebookTask] = Field(
        description=(
            "The notebooks, and which of them wait for which, such as "
            '[{"task_key": "load", "notebook": "notebooks/load.py"}, {"task_key": "report", '
            '"notebook": "notebooks/report.py", "depends_on": ["load"]}].'
        )
    )
    parameters: dict[str, str] = Field(
        default={}, description="Job parameters and their defaults; a run may override them."
    )
    packages: list[str] = Field(
        default=[],
        description=(
            "Python packages for all notebooks: requirements (pandas==2.3.3), or paths and URIs "
            "of wheels (.whl) and requirements files (.txt) that the workspace can read."
        ),
    )
    job_clusters: dict[str, dict[str, Any]] = Field(
        default={
            SHARED: {
                "spark_version": "16.4.x-scala2.12",
                "node_type_id": "i3.xlarge",
                "num_workers": 1,
            }
        },
        description=(
            "Clusters that live as long as a run, by key, each as the Jobs API's new_cluster. "
            f"Tasks that name no compute run on {SHARED!r}. Empty for serverless compute."
        ),
    )
    existing_cluster_id: str = Field(
        default="",
        description=(
            f"Id of a cluster that is there already, instead of the job cluster {SHARED!r}."
        ),
    )
    environments: dict[str, dict[str, Any]] = Field(
        default={},
        description=(
            "Environments of serverless compute, by key, each as the Jobs API's spec, such as "
            f'{{"{SHARED}": {{"environment_version": "4"}}}}. If there are no clusters, tasks that '
            f"name no compute run in {SHARED!r}."
        ),
    )
    git_source: GitSource = Field(
        default=GitSource(), description="Repository of the tasks whose source is GIT."
    )
    max_concurrent_runs: int = Field(
        default=10, ge=1, le=1000, description="Runs of the job that may be alive at once."
    )
    timeout_seconds: int = Field(
        default=0, ge=0, description="Seconds after which Databricks ends a run; 0: never."
    )
    tags: dict[str, str] = Field(
        default={}, description="Tags of the job, which its clusters have as well; 24 at most."
    )
    email_notifications: dict[str, list[str]] = Field(
        default={},
        description="E-mail addresses to notify, by event: on_start, on_success, on_failure …",
    )
    webhook_notifications: dict[str, list[dict[str, str]]] = Field(
        default={},
        description=(
            'Notification destinations, by event, such as {"on_failure": [{"id": "…"}]}; an '
            "administrator of the workspace makes them."
        ),
    )
    notification_settings: dict[str, bool] = Field(
        default={},
        description="no_alert_for_skipped_runs, no_alert_for_canceled_runs.",
    )
    run_as: RunAs = Field(
        default=RunAs(),
        description=(
            "Whose rights the runs have; by default those of who created the job. Databricks "
            "keeps the last one when this is emptied again."
        ),
    )
    access_control_list: list[AccessControl] = Field(
        default=[],
        description=(
            "Who else may see, run or manage the job, such as "
            '[{"group_name": "analysts", "permission_level": "CAN_VIEW"}]. It replaces what the '
            "job has; the owner stays unless it names another one. Empty: left as it is."
        ),
    )
    extra_settings: dict[str, Any] = Field(
        default={},
        description=(
            "More settings of the job, as the Jobs API names them. They add to what the fields "
            "say and never override it: objects are merged; entries of tasks, job_clusters and "
            "environments are found by their key; other lists are joined."
        ),
    )
