"""The client's transport rules, against a real HTTPS server that answers as it is told."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import ApiError, Patience, UnreachableError
from blocks.databricks.client import JobsClient, retry_after_seconds
from tests.blocks.databricks.scripted import CUT, Scripted, ok, refusal

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_a_read_outlives_503_cut_connections_and_broken_bodies(server: Scripted) -> None:
    broken: tuple[int, Any, dict[str, str]] = (200, b"<html>", {})
    server.answers = [refusal(503), CUT, refusal(500), broken, ok({"run_id": 7})]
    with server.client() as client:
        assert client.get_run(7)["run_id"] == 7
    assert len(server.requests) == 5
    assert server.waits == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("header", "least"),
    [("7", 7.0), (format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True), 60.0)],
)
def test_retry_after_is_honoured(server: Scripted, header: str, least: float) -> None:
    server.answers = [refusal(429, {"Retry-After": header}), ok({"run_id": 7})]
    with server.client() as client:
        client.get_run(7)
    assert server.waits[0] >= least


def test_the_budget_ends(server: Scripted) -> None:
    server.answers = [refusal(503, {"Retry-After": "11"})]
    with server.client(Patience(seconds=10)) as client, pytest.raises(ApiError, match="503"):
        client.get_run(7)
    assert server.waits == []


def test_the_patience_of_another_process_is_continued_and_starts_anew_once_it_is_over(
    server: Scripted,
) -> None:
    patience = Patience(seconds=100, since=time.time() - 95)
    server.answers = [refusal(503, {"Retry-After": "3"}), refusal(503, {"Retry-After": "5"})]
    with server.client(patience) as client:
        with pytest.raises(ApiError, match="503"):
            client.get_run(7)
        assert server.waits == [3]
        # What has to be done at the end, such as a cancel, is worth the whole of it again.
        server.answers = [refusal(503, {"Retry-After": "90"}), ok({})]
        client.cancel_run(7)
    assert server.waits == [3, 90]


def test_an_answer_stops_the_clock(server: Scripted) -> None:
    patience = Patience(seconds=100, since=time.time() - 95)
    server.answers = [ok({"run_id": 7}), refusal(503, {"Retry-After": "90"}), ok({"run_id": 7})]
    with server.client(patience) as client:
        client.get_run(7)
        client.get_run(7)
    assert server.waits == [90]


def test_only_a_silence_that_lasts_is_told_once_and_so_is_its_end(server: Scripted) -> None:
    told: list[float | None] = []
    patience = Patience(tell=lambda patience: told.append(patience.since))
    server.answers = [refusal(503, {"Retry-After": "1"}), ok({"run_id": 7})]
    with server.client(patience) as client:
        client.get_run(7)
        assert told == []
        late = {"Retry-After": "6"}
        server.answers = [refusal(503, late), refusal(503, late), ok({"run_id": 7})]
        client.get_run(7)
    since, over = told
    assert since is not None
    assert over is None


def test_what_is_refused_again_and_again_is_given_up_although_the_rest_is_answered(
    server: Scripted,
) -> None:
    with server.client(Patience(seconds=2)) as client:

        def ask_twice() -> None:
            server.answers = [ok({"run_id": 7}), CUT]
            client.get_run(7)
            # The waits of this test take no time.
            time.sleep(0.3)
            client.create_job({})

        with pytest.raises(UnreachableError):
            client.retrying()(ask_twice)
    assert server.waits == [1]


def test_run_now_carries_its_token_and_is_sent_again(server: Scripted) -> None:
    server.answers = [CUT, ok({"run_id": 5})]
    with server.client() as client:
        assert client.run_now(1, {"country": "Norway"}, "token-1") == 5
    bodies = [body for _, _, body in server.requests]
    assert bodies[0] == bodies[1]
    assert bodies[0]["idempotency_token"] == "token-1"


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.create_job({"name": "j"}),
        lambda client: client.repair_run(5, ["a"], None, {}),
    ],
)
def test_what_has_no_token_is_sent_once(
    server: Scripted, call: Callable[[JobsClient], object]
) -> None:
    server.answers = [CUT]
    with server.client() as client, pytest.raises(UnreachableError):
        call(client)
    assert len(server.requests) == 1


def test_a_refusal_is_not_tried_again_and_says_why(server: Scripted) -> None:
    error = {"error_code": 403, "message": "Invalid access token."}
    server.answers = [(403, error, {})]
    with server.client() as client, pytest.raises(ApiError) as caught:
        client.get_run(7)
    assert (caught.value.status, caught.value.error_code) == (403, "403")
    assert "Invalid access token." in str(caught.value)
    assert "secret-token" not in str(caught.value)


def test_pages_are_joined(server: Scripted) -> None:
    first = {"run_id": 7, "tasks": [{"task_key": "a"}], "repair_history": [{}]}
    second = {"run_id": 7, "tasks": [{"task_key": "b"}], "repair_history": []}
    server.answers = [ok({**first, "next_page_token": "t"}), ok(second)]
    with server.client() as client:
        run = client.get_run(7)
    assert [task["task_key"] for task in run["tasks"]] == ["a", "b"]
    assert len(run["repair_history"]) == 1
    assert "next_page_token" not in run
    assert server.requests[1][2]["page_token"] == "t"


def test_job_names_are_compared_exactly(server: Scripted) -> None:
    jobs = [
        {"job_id": 3, "created_time": 30, "settings": {"name": "j"}},
        {"job_id": 2, "created_time": 20, "settings": {"name": "J"}},
        {"job_id": 1, "created_time": 10, "settings": {"name": "j"}},
    ]
    server.answers = [ok({"jobs": jobs[:2], "next_page_token": "t"}), ok({"jobs": jobs[2:]})]
    with server.client() as client:
        assert [job["job_id"] for job in client.find_jobs("j")] == [1, 3]


def test_all_live_runs_are_listed(server: Scripted) -> None:
    server.answers = [ok({"runs": [{"run_id": 3}], "next_page_token": "t"}), ok({})]
    with server.client() as client:
        assert client.active_runs(1) == [3]
    assert server.requests[1][2]["page_token"] == "t"


@pytest.mark.parametrize("status", [401, 403])
def test_an_oauth_token_that_expires_is_renewed(
    status: int, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The stock block asks for tokens with a client of its own, which trusts this file.
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    credentials = DatabricksCredentials(
        databricks_instance=f"localhost:{server.port}",
        client_id="id",
        client_secret="secret",
        client_kwargs={"verify": server.ca_file},
    )
    expired = {"error_code": status, "message": "Invalid access token."}
    server.answers = [
        ok({"access_token": "first", "expires_in": 3600}),
        ok({"run_id": 7}),
        (status, expired, {}),
        ok({"access_token": "second", "expires_in": 3600}),
        ok({"run_id": 8}),
        (status, expired, {}),
        ok({"access_token": "third", "expires_in": 3600}),
        (status, expired, {}),
    ]
    with JobsClient(credentials, sleep=server.waits.append) as client:
        assert client.get_run(7)["run_id"] == 7
        assert client.run_now(1, {}, "token-1") == 8
        assert [token for token in server.tokens if token in ("first", "second")] == [
            "first",
            "first",
            "second",
        ]
        with pytest.raises(ApiError, match="Invalid access token"):
            client.get_run(7)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-4", 0.0),
        ("inf", None),
        ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read_either_way(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
