"""The client's transport rules, against a real HTTPS server that answers as it is told."""

import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from prefect_databricks import DatabricksCredentials

from blocks.databricks import (
    ApiError,
    CredentialsError,
    Patience,
    UnreachableError,
    client,
)
from blocks.databricks.answers import retry_after_seconds
from blocks.databricks.client import JobsClient
from tests.blocks.databricks.scripted import (
    Answer,
    Scripted,
    cut,
    drip,
    ok,
    plain_text,
    refusal,
)

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def test_twenty_503_in_a_row_are_outlived(server: Scripted) -> None:
    server.answers = [*[refusal(503)] * 20, ok({"run_id": 7})]
    with server.client() as client:
        assert client.get_run(7)["run_id"] == 7
    assert server.waits == [1, 2, 4, 8, 16, *[30] * 15]


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        plain_text,
        refusal(500),
        refusal(408),
        ok(b"<html>"),
        ok(b"[" * 100_000),
        ok([]),
        ok({}),
        ok({"run_id": None}),
        (200, b"no gzip", {"Content-Encoding": "gzip"}),
        (409, {"error_code": "ABORTED", "message": "m"}, {}),
        (400, {"error_code": "COULD_NOT_ACQUIRE_LOCK", "message": "m"}, {}),
        (400, {"error_code": "INVALID_STATE", "message": "m"}, {}),
    ],
)
def test_what_may_go_better_later_is_tried_again(answer: Answer, server: Scripted) -> None:
    server.answers = [answer, ok({"run_id": 7})]
    with server.client() as client:
        assert client.run_now(1, {}, "token-1") == 7
        server.answers = [answer, ok({"run_id": 7})]
        assert client.get_run(7) == {"run_id": 7}
    assert server.waits == [1, 1]


def test_a_body_that_drips_is_not_waited_for(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_WHOLE_REQUEST_SECONDS", 0.5)
    server.answers = [drip, ok({"run_id": 7})]
    with server.client() as opened:
        opened.get_run(7)
    assert server.waits == [1]


@pytest.mark.parametrize(
    ("header", "least"),
    [("7", 7.0), (format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True), 60.0)],
)
def test_retry_after_is_honoured(server: Scripted, header: str, least: float) -> None:
    server.answers = [refusal(429, {"Retry-After": header}), ok({"run_id": 7})]
    with server.client() as client:
        client.get_run(7)
    assert server.waits[0] >= least


@pytest.mark.parametrize("clock", [timedelta(hours=-3), timedelta(hours=3)])
def test_retry_after_goes_by_the_clock_of_the_server(server: Scripted, clock: timedelta) -> None:
    there = datetime.now(UTC) + clock
    headers = {
        "Date": format_datetime(there, usegmt=True),
        "Retry-After": format_datetime(there + timedelta(seconds=50), usegmt=True),
    }
    server.answers = [refusal(429, headers), ok({"run_id": 7})]
    with server.client() as client:
        client.get_run(7)
    assert server.waits == [50]


@pytest.mark.parametrize("header", ["0", "-5", "Sun, 22 Nov 2020 11:00:00 GMT"])
def test_who_is_told_not_to_wait_does_not_hurry(server: Scripted, header: str) -> None:
    server.answers = [*[refusal(503, {"Retry-After": header})] * 3, ok({"run_id": 7})]
    with server.client() as client:
        client.get_run(7)
    assert server.waits == [1, 2, 4]


def test_any_number_of_tries_can_be_waited_for(server: Scripted) -> None:
    lost = iter(range(1100))

    def ask() -> str:
        if next(lost, None) is not None:
            raise UnreachableError("No answer.")
        return "answer"

    with server.client(Patience(seconds=1e6)) as client:
        assert client.retrying()(ask) == "answer"
    assert max(server.waits) == 30


def test_the_budget_ends(server: Scripted) -> None:
    server.answers = [refusal(503, {"Retry-After": "11"})]
    with (
        server.client(Patience(seconds=10)) as client,
        pytest.raises(ApiError, match=r"503.*Given up after 0 s.* 10 s that are allowed"),
    ):
        client.get_run(7)
    assert server.waits == []


def test_what_was_given_up_within_is_not_tried_anew_around(server: Scripted) -> None:
    server.answers = [refusal(503, {"Retry-After": "11"})]
    with server.client(Patience(seconds=10)) as client, pytest.raises(ApiError):
        client.retrying()(client.get_run, 7)
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
    told: list[tuple[float | None, str]] = []
    patience = Patience(tell=lambda patience: told.append((patience.since, patience.reason)))
    server.answers = [refusal(503, {"Retry-After": "1"}), ok({"run_id": 7})]
    with server.client(patience) as client:
        client.get_run(7)
        assert told == []
        late = {"Retry-After": "6"}
        server.answers = [refusal(503, late), refusal(503, late), ok({"run_id": 7})]
        client.get_run(7)
    (since, reason), over = told
    assert since is not None
    assert "503 TEMPORARILY_UNAVAILABLE: later" in reason
    assert over == (None, "")


def test_what_is_refused_again_and_again_is_given_up_although_the_rest_is_answered(
    server: Scripted,
) -> None:
    with server.client(Patience(seconds=2)) as client:

        def ask_twice() -> None:
            server.answers = [ok({"run_id": 7}), cut]
            client.get_run(7)
            # The waits of this test take no time.
            time.sleep(0.3)
            client.create_job({})

        with pytest.raises(UnreachableError):
            client.retrying()(ask_twice)
    assert server.waits == [1]


def test_run_now_carries_its_token_and_is_sent_again(server: Scripted) -> None:
    server.answers = [cut, ok({"run_id": 5})]
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
@pytest.mark.parametrize("answer", [cut, ok({})])
def test_what_has_no_token_is_sent_once(
    server: Scripted, call: Callable[[JobsClient], object], answer: Answer
) -> None:
    server.answers = [answer]
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


HTML: Answer = (403, b"<!DOCTYPE html><p>Blocked", {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, {}, {}), r"403: Forbidden\. Check the token"),
        ((401, {"message": "No."}, {}), r"401: No\. Check the token, or the service principal"),
        (HTML, "403: an HTML page, as a proxy"),
        ((302, b"", {"Location": "/login"}), "302: a redirect, as a login"),
        ((400, {"error_code": "BAD", "message": "m"}, {}), r"400 BAD: m\.$"),
        ((400, {"error": "said by 1.2"}, {}), "400: said by 1.2"),
        ((404, {"detail": "said by SCIM", "scimType": "T"}, {}), "404 T: said by SCIM"),
        ((400, {"message": {"a": 1}}, {}), "'a': 1"),
        ((400, {"message": "x secret-token x"}, {}), r"400: x \[REDACTED\] x\."),
    ],
)
def test_a_refusal_says_what_is_known(server: Scripted, answer: Answer, said: str) -> None:
    server.answers = [answer]
    with server.client() as client, pytest.raises(ApiError, match=said):
        client.get_run(7)


def test_only_the_api_says_what_does_not_exist() -> None:
    assert ApiError("GET", 400, "INVALID_PARAMETER_VALUE", "Run 1 does not exist.", None).missing
    assert not ApiError("GET", 400, "INVALID_STATE", "It is alive.", None).missing
    # Of a proxy, for one.
    assert not ApiError("GET", 404, "", "Not Found", None).missing


def test_a_token_may_have_been_copied_with_the_end_of_its_line(server: Scripted) -> None:
    server.answers = [ok({"run_id": 7})]
    with JobsClient(server.credentials_with(token=" secret-token\n")) as client:
        client.get_run(7)
    assert server.tokens == ["secret-token"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"token": "secret\ntoken"}, "Copy it again"),
        ({"token": "secret-tok\u00e9n"}, "Copy it again"),
        ({"databricks_instance": "https://localhost"}, "without https://"),
        ({"databricks_instance": "localhost/"}, "without https://"),
        ({"client_kwargs": {}}, "its certificate is not trusted"),
        ({"client_kwargs": {"verify": "/no/such/file"}}, "client_kwargs .* cannot be used"),
        ({"client_kwargs": {"unknown": 1}}, "client_kwargs .* cannot be used"),
        ({"client_kwargs": {"verify": False, "headers": {"X": "secret-token\n"}}}, "REDACTED"),
    ],
)
def test_wrong_credentials_are_said_at_once(
    wrong: dict[str, Any], said: str, server: Scripted
) -> None:
    credentials = server.credentials_with(**({"token": "secret-token"} | wrong))
    with (
        pytest.raises(CredentialsError, match=said) as caught,
        JobsClient(credentials, sleep=server.waits.append) as client,
    ):
        client.get_run(7)
    assert server.waits == []
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace("secrets", "")


@pytest.fixture
def principal(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> DatabricksCredentials:
    """A service principal."""
    # The stock block asks for tokens with a client of its own, which trusts this file.
    monkeypatch.setenv("SSL_CERT_FILE", server.ca_file)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return server.credentials_with(client_id="id", client_secret="hunter22")


def token(value: object, expires_in: object = 3600) -> Answer:
    return ok({"access_token": value, "expires_in": expires_in})


NO_TOKENS = [
    refusal(503),
    refusal(429),
    refusal(408),
    cut,
    drip,
    ok(b"<html>"),
    ok(b"[" * 100_000),
    ok([]),
    ok(b"null"),
    ok("access_token"),
    ok({"error": "hunter22"}),
    token(None),
    token("with\nin"),
    token("text", "3600"),
]


@pytest.mark.parametrize("no_token", NO_TOKENS)
def test_a_moment_without_tokens_is_outlived(
    no_token: Answer,
    server: Scripted,
    principal: DatabricksCredentials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "_WHOLE_REQUEST_SECONDS", 0.5)
    expired: Answer = (403, {"error_code": 403, "message": "Invalid access token."}, {})
    server.answers = [no_token, token("first"), ok({"run_id": 7})]
    with JobsClient(principal, sleep=server.waits.append) as opened:
        assert opened.get_run(7) == {"run_id": 7}
        # Nothing that has an effect was sent, so it can be sent again.
        server.answers = [expired, no_token, expired, token("second"), ok({"repair_id": 8})]
        assert opened.repair_run(7, ["a"], None, {}) == 8
    assert server.waits == [1, 1]
    assert server.answers == []


@pytest.mark.parametrize("status", [400, 401])
def test_a_service_principal_that_is_refused_is_said_at_once(
    status: int, server: Scripted, principal: DatabricksCredentials
) -> None:
    server.answers = [(status, {"error": "invalid_client", "description": "hunter22"}, {})]
    with (
        pytest.raises(CredentialsError, match=f"OAuth token was {status}. Check") as caught,
        JobsClient(principal, sleep=server.waits.append),
    ):
        pass
    assert server.waits == []
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter22" not in shown
    assert "invalid_client" not in shown


def test_a_process_ends_although_its_client_could_not_be_opened() -> None:
    code = (
        "from prefect_databricks import DatabricksCredentials as Block\n"
        "from blocks.databricks.client import JobsClient, Patience\n"
        "nowhere = Block(databricks_instance='localhost:1', client_id='a', client_secret='b')\n"
        "JobsClient(nowhere, Patience(seconds=0)).__enter__()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert (
        "NoTokenError: No answer from localhost:1 to the request for an OAuth token" in ended.stderr
    )


@pytest.mark.parametrize("status", [401, 403])
def test_an_oauth_token_that_expires_is_renewed(
    status: int, server: Scripted, principal: DatabricksCredentials
) -> None:
    expired = {"error_code": status, "message": "Invalid access token."}
    server.answers = [
        token("first"),
        ok({"run_id": 7}),
        (status, expired, {}),
        token("second"),
        ok({"run_id": 8}),
        (status, expired, {}),
        token("third"),
        (status, expired, {}),
    ]
    with JobsClient(principal, sleep=server.waits.append) as client:
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
        ("nan", None),
        ("9" * 400, None),
        ("soon", None),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Mon, 01 Jan 0001 00:00:00 +2300", 0.0),
        ("Sun, 22 Nov 2026 11:00:00 +9999999999", None),
    ],
)
def test_retry_after_is_read_either_way(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds
