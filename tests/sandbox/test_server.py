"""The sandbox on a real port: answers, broken connections, and a prompt end."""

from __future__ import annotations

import _thread
import errno
import http.client
import logging
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from syncro_async.sandbox import FULL_KEY, Sandbox, Trouble, run, serving

HEADERS = {"X-API-Key": FULL_KEY, "Accept": "application/json"}


def connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)


def ask(url: str, method: str = "GET", path: str = "/leads/1") -> tuple[int, bytes]:
    caller = connection(url)
    try:
        caller.request(method, f"/api/v1{path}", headers=HEADERS)
        answer = caller.getresponse()
        return answer.status, answer.read()
    finally:
        caller.close()


def test_it_answers_on_a_free_port_and_frees_it_within_a_second() -> None:
    with serving(Sandbox(5)) as url:
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/api/v1")
        assert ask(url)[0] == 200
        left = time.monotonic()
    assert time.monotonic() - left < 1.0
    with pytest.raises(ConnectionRefusedError):
        ask(url)


def test_one_that_is_left_at_once_frees_its_port_too() -> None:
    with serving(Sandbox(0)) as url:
        pass
    with pytest.raises(ConnectionRefusedError):
        ask(url)


def test_connections_are_kept_alive_between_requests() -> None:
    with serving(Sandbox(5)) as url:
        caller = connection(url)
        sockets = set()
        for _ in range(3):
            caller.request("GET", "/api/v1/leads", headers=HEADERS)
            caller.getresponse().read()
            assert caller.sock is not None
            sockets.add(caller.sock.getsockname())
        caller.close()
    assert len(sockets) == 1


def test_a_taken_port_is_said_clearly() -> None:
    with serving(Sandbox(0)) as url:
        port = urlsplit(url).port
        assert port is not None
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 is in use") as caught:
            serving(Sandbox(0), port=port).__enter__()
        assert caught.value.errno == errno.EADDRINUSE


def test_a_host_that_is_not_ours_is_the_systems_own_error() -> None:
    with (
        pytest.raises(OSError) as caught,  # noqa: PT011 - the text is the system's
        serving(Sandbox(0), host="192.0.2.1"),
    ):
        pass
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_reset_is_a_reset_on_the_wire(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(reset=True))
    with caplog.at_level(logging.INFO), serving(sandbox) as url:
        with pytest.raises(ConnectionResetError):
            ask(url, "DELETE")
        assert ask(url)[0] == 200
    assert 1 in sandbox.leads
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_lost_answer_leaves_the_write_done() -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(lose_answer=True))
    with serving(sandbox) as url:
        with pytest.raises(ConnectionResetError):
            ask(url, "DELETE")
        assert ask(url)[0] == 404
    assert sandbox.writes == [("DELETE", "/leads/1")]


def test_a_truncated_answer_ends_in_the_middle_of_its_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(status=200, body=b"x" * 100, truncate=True))
    with caplog.at_level(logging.INFO), serving(sandbox) as url:
        with pytest.raises(http.client.IncompleteRead) as caught:
            ask(url)
        assert (len(caught.value.partial), caught.value.expected) == (50, 50)
        assert ask(url)[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_scripted_answers_without_a_body_keep_the_connection_usable() -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(status=204))
    with serving(sandbox) as url:
        caller = connection(url)
        for expected in (204, 200):
            caller.request("GET", "/api/v1/leads/1", headers=HEADERS)
            answer = caller.getresponse()
            answer.read()
            assert answer.status == expected
        caller.close()


def test_it_ends_promptly_though_an_answer_is_still_under_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(delay=3_600, path="/leads/1"))
    with caplog.at_level(logging.INFO):
        with serving(sandbox) as url:
            caller = connection(url)
            caller.request("GET", "/api/v1/leads/1", headers=HEADERS)
            while "/leads/1" not in [arrival.path for arrival in sandbox.arrivals]:
                ask(url, path="/leads/2")
            left = time.monotonic()
        assert time.monotonic() - left < 1.0
        with pytest.raises(ConnectionResetError):
            caller.getresponse()
    caller.close()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_caller_who_leaves_before_its_body_is_whole_changes_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = Sandbox(5)
    with caplog.at_level(logging.INFO), serving(sandbox) as url:
        parts = urlsplit(url)
        half = f"POST /api/v1/leads HTTP/1.1\r\nHost: x\r\nX-API-Key: {FULL_KEY}\r\n"
        with socket.create_connection((str(parts.hostname), parts.port or 0)) as caller:
            caller.sendall(f"{half}Content-Length: 50\r\n\r\n{{".encode())
            while "POST" not in [arrival.method for arrival in sandbox.arrivals]:
                ask(url)
        assert ask(url)[0] == 200
    left = [arrival for arrival in sandbox.arrivals if arrival.method == "POST"]
    assert [(arrival.status, arrival.counted) for arrival in left] == [(0, True)]
    assert len(sandbox.leads) == 5
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_run_serves_until_ctrl_c() -> None:
    sandbox = Sandbox(5)
    statuses: list[int] = []
    callers: list[threading.Thread] = []

    def visit_then_interrupt(url: str) -> None:
        statuses.append(ask(url)[0])
        _thread.interrupt_main()

    def ready(url: str) -> None:
        callers.append(threading.Thread(target=visit_then_interrupt, args=(url,)))
        callers[0].start()

    run(sandbox, port=0, ready=ready)
    callers[0].join()
    assert statuses == [200]


def test_run_needs_nobody_to_be_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    statuses: list[int] = []

    def visit_then_interrupt() -> None:
        while not statuses:
            with suppress(ConnectionRefusedError):
                statuses.append(ask(f"http://127.0.0.1:{port}")[0])
        _thread.interrupt_main()

    caller = threading.Thread(target=visit_then_interrupt)
    caller.start()
    run(Sandbox(5), port=port)
    caller.join()
    assert statuses == [200]


def test_run_refuses_a_taken_port_before_it_serves() -> None:
    with serving(Sandbox(0)) as url:
        port = urlsplit(url).port
        assert port is not None
        with pytest.raises(OSError, match="is in use"):
            run(Sandbox(0), port=port)


def test_a_caller_that_has_left_before_its_answer_is_no_reason_to_complain(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox = Sandbox(5)
    sandbox.script(Trouble(delay=3600.0, path="/leads/2"))
    with serving(sandbox) as url:
        caller = connection(url)
        caller.request("GET", "/api/v1/leads/2", headers=HEADERS)
        while not sandbox.arrivals:
            assert ask(url)[0] == 200
        caller.close()
        assert ask(url)[0] == 200  # and so the server has seen it go
    assert caplog.messages == []
