"""The REST API of a real server, over HTTPS, as clients use it. No notebook runs here."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from blocks.local.workspace.testing import RunningWorkspace

SOURCE = b"# Databricks notebook source\nprint(1)\n"


def post(client: httpx.Client, path: str, /, **body: Any) -> Any:
    answer = client.post(f"/api/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def get(client: httpx.Client, path: str, /, **query: Any) -> Any:
    answer = client.get(f"/api/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: httpx.Response) -> tuple[int, object, str]:
    body = answer.json()
    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.RequestInfo"
    assert answer.headers["x-databricks-reason-phrase"]
    return answer.status_code, body["error_code"], body["message"]


def task(key: str, **settings: Any) -> dict[str, Any]:
    return {"task_key": key, "notebook_task": {"notebook_path": "/missing"}, **settings}


class TestAccess:
    def test_a_wrong_token_gets_a_number_for_a_code(self, client: httpx.Client) -> None:
        answer = client.get("/api/2.2/jobs/list", headers={"Authorization": "Bearer no"})
        assert refused(answer) == (403, 403, "Invalid access token.")

    @pytest.mark.parametrize("header", [None, "Basic abc", ""])
    def test_no_bearer_token(self, server: RunningWorkspace, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        answer = httpx.get(f"{server.http_url}/api/2.2/jobs/list", headers=headers)
        assert refused(answer)[:2] == (401, "UNAUTHENTICATED")

    def test_other_host_names_are_refused(self, server: RunningWorkspace) -> None:
        for path in ("/", "/api/2.2/jobs/list"):
            answer = httpx.get(server.http_url + path, headers={"Host": "evil.example:80"})
            assert answer.status_code == 400

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/2.0/instance-pools/list"),
            ("PUT", "/api/2.2/jobs/create"),
            ("GET", "/api/2.2/jobs/create"),
            ("GET", "/api/3.0/jobs/list"),
            ("GET", "/.well-known/nothing"),
        ],
    )
    def test_unknown_endpoints(self, client: httpx.Client, method: str, path: str) -> None:
        status, code, message = refused(client.request(method, path))
        assert (status, code) == (404, "ENDPOINT_NOT_FOUND")
        assert path in message

    def test_me(self, client: httpx.Client) -> None:
        answer = client.get("/api/2.0/preview/scim/v2/Me")
        assert answer.json()["active"] is True
        assert answer.headers["x-databricks-org-id"] == "1"
        assert get(client, "2.1/clusters/spark-versions")["versions"]


class TestRequests:
    @pytest.mark.parametrize(
        "body",
        [b"{", b"[1]", b'"x"', b'{"name": NaN}', b'{"name": "\\ud800"}', b"[" * 100_000, b"\xff"],
    )
    def test_bodies_that_are_no_json_object(self, client: httpx.Client, body: bytes) -> None:
        assert refused(client.post("/api/2.2/jobs/create", content=body))[1] == "MALFORMED_REQUEST"

    def test_what_clients_sent_may_be_in_the_message_of_an_error(
        self, client: httpx.Client
    ) -> None:
        query = {"path": "/a\r\nX-Header: \0\u20ac "}
        answer = client.get("/api/2.0/workspace/get-status", params=query)
        assert refused(answer)[0] == 404
        assert "x-header" not in answer.headers

    def test_too_large_a_body(self, client: httpx.Client) -> None:
        answer = client.post("/api/2.2/jobs/create", content=b" " * (10 * 1024 * 1024 + 1))
        assert refused(answer)[0] == 413

    def test_arguments_of_a_get_may_be_in_its_body(self, client: httpx.Client) -> None:
        job_id = post(client, "2.2/jobs/create", name="body")["job_id"]
        content = json.dumps({"job_id": str(job_id)}).encode()
        answer = client.request("GET", "/api/2.2/jobs/get", content=content)
        assert answer.json()["job_id"] == job_id

    @pytest.mark.parametrize("job_id", ["x", 2**63, -(2**70), None, [], 1.5])
    def test_ids_that_are_none(self, client: httpx.Client, job_id: object) -> None:
        answer = client.post("/api/2.2/jobs/run-now", json={"job_id": job_id})
        assert refused(answer)[0] == 400


class TestJobs:
    def test_create_get_reset_update_delete(self, client: httpx.Client) -> None:
        job_id = post(client, "2.2/jobs/create", name="one", run_as={"user_name": "x"})["job_id"]
        assert job_id > 2**32
        shown = get(client, "2.2/jobs/get", job_id=job_id)
        assert shown.keys() >= {"creator_user_name", "run_as_user_name", "created_time"}
        assert shown["settings"]["name"] == "one"
        post(client, "2.2/jobs/reset", job_id=job_id, new_settings={"name": "two"})
        settings = get(client, "2.2/jobs/get", job_id=job_id)["settings"]
        assert (settings["name"], settings["run_as"]) == ("two", {"user_name": "x"})
        new = {"tasks": [task("a")]}
        post(client, "2.2/jobs/update", job_id=job_id, new_settings=new, fields_to_remove=["tags"])
        settings = get(client, "2.2/jobs/get", job_id=job_id)["settings"]
        assert (settings["name"], len(settings["tasks"])) == ("two", 1)
        assert post(client, "2.2/jobs/delete", job_id=job_id) == {}
        message = f"Job {job_id} does not exist."
        expected = (400, "INVALID_PARAMETER_VALUE", message)
        assert refused(client.get("/api/2.2/jobs/get", params={"job_id": job_id})) == expected
        assert refused(client.post("/api/2.2/jobs/delete", json={"job_id": job_id})) == expected

    def test_only_2_2_queues_by_default(self, client: httpx.Client) -> None:
        for version, queues in (("2.0", False), ("2.1", False), ("2.2", True)):
            job_id = post(client, f"{version}/jobs/create", name="q")["job_id"]
            settings = get(client, "2.2/jobs/get", job_id=job_id)["settings"]
            assert settings["queue"] == {"enabled": queues}

    def test_large_jobs_come_in_pages_in_2_2_only(self, client: httpx.Client) -> None:
        tasks = [task(f"t{number}") for number in range(150)]
        job_id = post(client, "2.2/jobs/create", name="large", tasks=tasks)["job_id"]
        first = get(client, "2.2/jobs/get", job_id=job_id)
        token = first["next_page_token"]
        second = get(client, "2.2/jobs/get", job_id=job_id, page_token=token)
        assert "next_page_token" not in second
        assert second["settings"]["name"] == "large"
        pages = [len(page["settings"]["tasks"]) for page in (first, second)]
        assert pages == [100, 50]
        assert len(get(client, "2.1/jobs/get", job_id=job_id)["settings"]["tasks"]) == 150

    def test_list(self, workspace: RunningWorkspace) -> None:
        with workspace.client() as client:
            assert get(client, "2.2/jobs/list") == {}
            ids = [
                post(client, "2.2/jobs/create", name=f"Job {n % 2}", tasks=[task("a")])["job_id"]
                for n in range(5)
            ]
            page = get(client, "2.2/jobs/list", limit=2, page_token="")
            assert [job["job_id"] for job in page["jobs"]] == [ids[4], ids[3]]
            assert "has_more" not in page
            assert "tasks" not in page["jobs"][0]["settings"]
            following = get(client, "2.2/jobs/list", limit=2, page_token=page["next_page_token"])
            assert [job["job_id"] for job in following["jobs"]] == [ids[2], ids[1]]
            back = following["prev_page_token"]
            assert get(client, "2.2/jobs/list", limit=2, page_token=back)["jobs"] == page["jobs"]
            named = get(client, "2.1/jobs/list", name="jOB 1", expand_tasks="True")
            assert [job["job_id"] for job in named["jobs"]] == [ids[3], ids[1]]
            assert named["jobs"][0]["settings"]["tasks"]
            assert named["has_more"] is False
            too_large = client.get("/api/2.1/jobs/list", params={"limit": 26})
            assert refused(too_large)[1] == "INVALID_PARAMETER_VALUE"


class TestRuns:
    @pytest.fixture
    def run_id(self, client: httpx.Client) -> int:
        """A finished run whose second task was skipped because the first's notebook is missing."""
        tasks = [task("a"), task("b", depends_on=[{"task_key": "a"}])]
        parameters = [{"name": "p", "default": "1"}]
        job_id = post(client, "2.2/jobs/create", name="r", tasks=tasks, parameters=parameters)[
            "job_id"
        ]
        started = post(
            client, "2.2/jobs/run-now", job_id=job_id, job_parameters={"p": 2}, notebook_params={}
        )
        assert started["number_in_job"] == started["run_id"]
        run_id = int(started["run_id"])
        self.wait(client, run_id)
        return run_id

    @staticmethod
    def wait(client: httpx.Client, run_id: int) -> Any:
        while not (run := get(client, "2.2/jobs/runs/get", run_id=run_id))["end_time"]:
            pass
        return run

    def test_a_failed_run(self, client: httpx.Client, run_id: int) -> None:
        run = get(client, "2.2/jobs/runs/get", run_id=run_id, include_history="true")
        assert run["state"]["life_cycle_state"] == "INTERNAL_ERROR"
        assert run["state"]["result_state"] == "FAILED"
        assert run["status"]["state"] == "TERMINATED"
        assert run["status"]["termination_details"]["code"] == "RESOURCE_NOT_FOUND"
        assert run["job_parameters"] == [{"name": "p", "default": "1", "value": "2"}]
        assert "overriding_parameters" not in run
        assert run["run_page_url"].endswith(f"/?o=1#job/{run['job_id']}/run/{run_id}")
        (history,) = run["repair_history"]
        assert history["type"] == "ORIGINAL"
        assert "id" not in history
        assert sorted(history["task_run_ids"]) == sorted(item["run_id"] for item in run["tasks"])
        skipped = next(item for item in run["tasks"] if item["task_key"] == "b")
        assert skipped["start_time"] == 0
        assert skipped["end_time"] > 0
        assert skipped["state"]["life_cycle_state"] == "SKIPPED"
        assert skipped["state"]["result_state"] == "UPSTREAM_FAILED"
        assert "repair_history" not in get(client, "2.1/jobs/runs/get", run_id=run_id)

    def test_a_task_run_is_a_run(self, client: httpx.Client, run_id: int) -> None:
        entry = get(client, "2.2/jobs/runs/get", run_id=run_id)["tasks"][0]
        shown = get(client, "2.2/jobs/runs/get", run_id=entry["run_id"])
        assert shown["job_run_id"] == run_id
        assert shown["state"] == entry["state"]
        assert shown["tasks"] == [entry]
        assert shown["run_page_url"]

    def test_output_is_of_task_runs_only(self, client: httpx.Client, run_id: int) -> None:
        answer = client.get("/api/2.1/jobs/runs/get-output", params={"run_id": run_id})
        assert refused(answer) == (
            400,
            "INVALID_PARAMETER_VALUE",
            "Retrieving the output of runs with multiple tasks is not supported."
            " Please retrieve the output of each individual task run instead.",
        )
        tasks = get(client, "2.2/jobs/runs/get", run_id=run_id)["tasks"]
        by_key = {item["task_key"]: item["run_id"] for item in tasks}
        failed = get(client, "2.1/jobs/runs/get-output", run_id=by_key["a"])
        assert 'access the notebook "/missing"' in failed["error"]
        assert failed["metadata"]["run_id"] == by_key["a"]
        assert get(client, "2.1/jobs/runs/get-output", run_id=by_key["b"]).keys() == {"metadata"}

    @pytest.mark.parametrize("path", ["get", "get-output", "export"])
    def test_unknown_runs(self, client: httpx.Client, path: str) -> None:
        answer = client.get(f"/api/2.2/jobs/runs/{path}", params={"run_id": 123})
        expected = (400, "INVALID_PARAMETER_VALUE", "Run 123 does not exist.")
        assert refused(answer) == expected

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({"job_parameters": {"a": "1"}, "notebook_params": {"b": "2"}}, "cannot be combined"),
            ({"notebook_params": {"b": "2"}, "jar_params": ["x"]}, "cannot be combined"),
            ({"notebook_params": {"b": "x" * 10_000}}, "10000 bytes"),
            ({"idempotency_token": "x" * 65}, "64 characters"),
            ({"notebook_params": "x"}, "Expected object for field 'notebook_params', found STRING"),
            ({"only": ["zzz"]}, "'zzz' in 'only'"),
        ],
    )
    def test_run_now_refusals(
        self, client: httpx.Client, run_id: int, body: dict[str, Any], message: str
    ) -> None:
        job_id = get(client, "2.2/jobs/runs/get", run_id=run_id)["job_id"]
        answer = client.post("/api/2.2/jobs/run-now", json={"job_id": job_id, **body})
        assert refused(answer)[0] == 400
        assert message in refused(answer)[2]

    def test_list(self, client: httpx.Client, run_id: int) -> None:
        job_id = get(client, "2.2/jobs/runs/get", run_id=run_id)["job_id"]
        page = get(client, "2.2/jobs/runs/list", job_id=job_id, completed_only="True", limit=0)
        assert [run["run_id"] for run in page["runs"]] == [run_id]
        assert "tasks" not in page["runs"][0]
        expanded = get(client, "2.1/jobs/runs/list", job_id=job_id, expand_tasks="true")
        assert len(expanded["runs"][0]["tasks"]) == 2
        assert get(client, "2.2/jobs/runs/list", job_id=job_id, active_only="true") == {}
        both = {"active_only": "true", "completed_only": "true"}
        assert refused(client.get("/api/2.2/jobs/runs/list", params=both))[0] == 400

    def test_submit_makes_a_run_but_no_job(self, client: httpx.Client) -> None:
        old_shape = {
            "run_name": "my run",
            "existing_cluster_id": "c",
            "notebook_task": {"notebook_path": "/missing"},
            "idempotency_token": "submit-1",
        }
        run_id = post(client, "2.1/jobs/runs/submit", **old_shape)["run_id"]
        assert post(client, "2.1/jobs/runs/submit", **old_shape) == {"run_id": run_id}
        run = self.wait(client, run_id)
        assert (run["run_type"], run["run_name"]) == ("SUBMIT_RUN", "my run")
        assert [(item["task_key"], item["run_id"]) for item in run["tasks"]] == [("my_run", run_id)]
        assert get(client, "2.1/jobs/runs/get-output", run_id=run_id)["error"]
        answer = client.get("/api/2.2/jobs/get", params={"job_id": run["job_id"]})
        assert refused(answer)[0] == 400

    def test_repair_over_the_api(self, client: httpx.Client, run_id: int) -> None:
        body = {"run_id": str(run_id), "rerun_all_failed_tasks": True, "latest_repair_id": None}
        repair_id = post(client, "2.2/jobs/runs/repair", **body, unknown=1)["repair_id"]
        run = self.wait(client, run_id)
        assert len(run["tasks"]) == 4
        assert max(item["attempt_number"] for item in run["tasks"]) == 1
        history = get(client, "2.2/jobs/runs/get", run_id=run_id, include_history=True)
        assert [item.get("id") for item in history["repair_history"]] == [None, repair_id]
        answer = client.post("/api/2.2/jobs/runs/repair", json=body)
        assert refused(answer)[2] == (
            "The latest repair ID needs to be provided in order to create a new repair"
        )

    def test_cancel_and_delete_of_a_finished_run(self, client: httpx.Client) -> None:
        job_id = post(client, "2.2/jobs/create", name="d", tasks=[task("a")])["job_id"]
        run_id = post(client, "2.2/jobs/run-now", job_id=job_id)["run_id"]
        before = self.wait(client, run_id)
        assert post(client, "2.2/jobs/runs/cancel", run_id=run_id) == {}
        assert post(client, "2.2/jobs/runs/cancel-all", job_id=job_id) == {}
        assert get(client, "2.2/jobs/runs/get", run_id=run_id) == before
        assert post(client, "2.2/jobs/runs/delete", run_id=run_id) == {}
        answer = client.get("/api/2.2/jobs/runs/get", params={"run_id": run_id})
        assert refused(answer)[2] == f"Run {run_id} does not exist."


class TestWorkspaceObjects:
    def put(self, client: httpx.Client, path: str, **body: Any) -> httpx.Response:
        content = base64.b64encode(SOURCE).decode()
        return client.post(
            "/api/2.0/workspace/import", json={"path": path, "content": content, **body}
        )

    def test_a_notebook_by_json(self, client: httpx.Client) -> None:
        path = "2.0/workspace"
        post(client, f"{path}/mkdirs", path="/Shared/a//b")
        post(client, f"{path}/mkdirs", path="/Workspace/Shared/a/b/")
        assert get(client, f"{path}/list", path="/Shared/a/b") == {}
        notebook = {"format": "SOURCE", "language": "PYTHON"}
        assert self.put(client, "/Shared/a/b/n", **notebook).json() == {}
        status, code, _ = refused(self.put(client, "/Shared/a/b/n", **notebook))
        assert (status, code) == (400, "RESOURCE_ALREADY_EXISTS")
        shown = get(client, f"{path}/get-status", path="/Workspace/Shared/a/b/n")
        assert shown["object_type"] == "NOTEBOOK"
        assert shown["language"] == "PYTHON"
        self.put(client, "/Shared/a/b/n", **notebook, overwrite=True)
        again = get(client, f"{path}/get-status", path="/Shared/a/b/n")
        assert again["object_id"] == shown["object_id"]
        exported = get(client, f"{path}/export", path="/Shared/a/b/n")
        assert base64.b64decode(exported["content"]) == SOURCE
        listed = get(client, f"{path}/list", path="/Shared/a")["objects"]
        assert [item["path"] for item in listed] == ["/Shared/a/b"]
        body = {"path": "/Shared/a"}
        answer = client.post(f"/api/{path}/delete", json=body)
        assert refused(answer)[:2] == (400, "DIRECTORY_NOT_EMPTY")
        post(client, f"{path}/delete", path="/Shared/a", recursive=True)
        answer = client.get(f"/api/{path}/get-status", params={"path": "/Shared/a/b/n"})
        expected = (404, "RESOURCE_DOES_NOT_EXIST", "Path (/Shared/a/b/n) doesn't exist.")
        assert refused(answer) == expected

    @pytest.mark.parametrize(
        ("name", "content", "stored", "kind"),
        [
            ("auto.py", SOURCE, "/auto", "NOTEBOOK"),
            ("plain.py", b"print(1)", "/plain.py", "FILE"),
            ("note.ipynb", b"{}", "/note", "NOTEBOOK"),
            ("data.bin", b"\x00\xff\r\n--", "/data.bin", "FILE"),
        ],
    )
    def test_upload_as_multipart(
        self, client: httpx.Client, name: str, content: bytes, stored: str, kind: str
    ) -> None:
        answer = client.post(
            "/api/2.0/workspace/import",
            data={"path": f"/{name}", "format": "AUTO", "overwrite": "true"},
            files={"content": ("content", content)},
        )
        assert answer.json() == {}
        shown = get(client, "2.0/workspace/get-status", path=stored)
        assert shown["object_type"] == kind
        query = {"path": stored, "direct_download": "true"}
        assert client.get("/api/2.0/workspace/export", params=query).content == content

    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            ("/no/such/n", {"language": "PYTHON"}, "The parent folder (/no/such) does not exist."),
            ("/n", {}, "The language must be specified to import a notebook as SOURCE."),
            ("/n", {"format": "DBC"}, "does not import the format DBC"),
            ("/n", {"content": "?", "language": "PYTHON"}, "not valid base64"),
            ("relative", {"language": "PYTHON"}, "Invalid value for field 'path'"),
        ],
    )
    def test_refusals(
        self, client: httpx.Client, path: str, body: dict[str, Any], message: str
    ) -> None:
        status, _, text = refused(self.put(client, path, **body))
        assert status in {400, 404}
        assert message in text
