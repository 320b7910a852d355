"""Processes: forked and spawned children of a program that uses a client."""

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import pytest

from syncro_async import AsyncClient
from tests.transport.programs import LEAD, answers_everything, outcome_of, running
from tests.transport.scripted_app import BASE_URL, KEY
from tests.transport.scripted_server import Connection, ScriptedServer

# Before each of these a parent has `client` in use; `in_the_child(work)` forks and tells how the
# child ended. A child that hangs is ended by its alarm.
FORKING = """
def in_the_child(work, *arguments):
    pid = os.fork()
    if not pid:
        try:
            signal.alarm(20)
            work(*arguments)
            os._exit(0)
        except BaseException as error:
            say("child:", type(error).__name__, error)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def ask(number):
    assert asyncio.run(client.leads.get(number)).id == 7
"""


async def test_a_child_opens_connections_of_its_own_and_the_parent_keeps_its_own() -> None:
    async def answers_its_own(connection: Connection) -> None:
        served.append([])
        mine = served[-1]
        while True:
            mine.append((await connection.request()).split()[1][-2:])
            await connection.send(LEAD)

    served: list[list[bytes]] = []
    text = """
async def main():
    async with client:
        await client.leads.get(1)
        say(in_the_child(ask, 2), in_the_child(ask, 3))
        await client.leads.get(4)

client = client_of()
asyncio.run(main())
"""
    async with ScriptedServer(answers_its_own) as server:
        async with running(server, FORKING + text, "-W", "error") as program:
            assert await program.end() == (0, "0 0\n", "")
        await server.closed()
    assert served == [[b"/1", b"/4"], [b"/2"], [b"/3"]]


async def test_so_it_does_under_uvloop() -> None:
    text = """
import uvloop

async def main():
    async with client:
        await client.leads.get(1)
        say(in_the_child(ask, 2))
        await client.leads.get(3)

client = client_of()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""
    async with ScriptedServer(answers_everything) as server:
        async with running(server, FORKING + text, "-W", "error") as program:
            assert await program.end() == (0, "0\n", "")
        assert (server.connections, len(server.requests)) == (2, 3)


async def test_a_client_that_was_only_made_works_in_every_child() -> None:
    text = """
client = client_of()
say(in_the_child(ask, 1), in_the_child(ask, 2))
"""
    assert await outcome_of(FORKING + text, "-W", "error") == (0, "0 0\n", "")


async def test_a_call_on_the_parent_s_loop_says_what_to_do() -> None:
    text = """
def check(call):
    try:
        call.send(None)
    except ConfigurationError as error:
        assert "a forked process needs one of its own" in str(error), error
    else:
        raise AssertionError("it went on")

async def main():
    async with client:
        await client.leads.get(1)
        say(in_the_child(check, client.leads.get(2)))

client = client_of()
asyncio.run(main())
"""
    code, said, _ = await outcome_of(FORKING + text)
    assert (code, said) == (0, "0\n")


async def test_a_transport_of_the_caller_s_own_is_not_shared() -> None:
    text = """
def check():
    try:
        asyncio.run(client.leads.get(2))
    except ConfigurationError as error:
        assert "belongs to the event loop that used it first" in str(error), error
    else:
        raise AssertionError("it went on")

async def main():
    async with client:
        await client.leads.get(1)
        say(in_the_child(check))
        await client.leads.get(3)

client = client_of(transport=httpx.AsyncHTTPTransport())
asyncio.run(main())
"""
    assert await outcome_of(FORKING + text, "-W", "error") == (0, "0\n", "")


async def test_a_child_has_a_budget_of_its_own_and_the_parent_s_stays_as_it_is() -> None:
    text = """
def check():
    budget = client.budget()
    assert (budget.available, budget.in_flight, budget.waiting) == (2, 0, 0), budget
    ask(2)
    assert client.budget().available == 1

async def main():
    async with client:
        calls = [asyncio.ensure_future(client.leads.get(number)) for number in range(5)]
        await asyncio.to_thread(sys.stdin.readline)
        before = client.budget()
        assert (before.in_flight, before.waiting) == (2, 3), before
        say(in_the_child(check))
        after = client.budget()
        assert (after.in_flight, after.waiting) == (2, 3), after
        leads = await asyncio.gather(*calls)
        say(*(lead.id for lead in leads))

client = client_of(rate_limit=RateLimit(2, 0.1, guard=0.0))
asyncio.run(main())
"""

    go_on = asyncio.Event()

    async def answers_when_told(connection: Connection) -> None:
        await connection.request()
        await go_on.wait()
        await connection.send(LEAD)
        await answers_everything(connection)

    held = answers_when_told
    async with (
        ScriptedServer(held, held, answers_everything) as server,
        running(server, FORKING + text) as program,
    ):
        await server.arrived(2)
        program.tell("fork")
        assert await program.says() == "0"
        go_on.set()
        code, said, _ = await program.end()
    assert (code, said) == (0, "7 7 7 7 7\n")


async def test_a_lock_that_another_thread_held_is_no_lock_in_the_child() -> None:
    text = """
from syncro_async.limiting import registry

def hold():
    pipeline = client._pipeline
    with client._limiter._lock, registry._draining.lock:
        stages = pipeline._built["stages"]
        with stages._sends._lock, stages._pool._pools._lock:
            held.set()
            over.wait()

def check():
    ask(2)
    assert asyncio.run(client_of().leads.get(3)).id == 7

client = client_of()
asyncio.run(client.leads.get(1))
held, over = threading.Event(), threading.Event()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
say(in_the_child(check))
over.set()
thread.join()
asyncio.run(client.leads.get(4))
asyncio.run(client.aclose())
"""
    # Python itself warns of forks where threads run.
    result = await outcome_of(FORKING + text, "-W", "ignore::DeprecationWarning")
    assert result == (0, "0\n", "")


async def test_the_parent_s_connections_end_when_it_closes_them() -> None:
    text = """
async def main():
    async with client:
        await client.leads.get(1)
        here, there = os.pipe()
        pid = os.fork()
        if not pid:
            os.read(here, 1)
            os._exit(0)
    say("closed")
    sys.stdin.readline()
    os.write(there, b"x")
    say(os.waitpid(pid, 0)[1])

client = client_of()
asyncio.run(main())
"""
    async with (
        ScriptedServer(answers_everything) as server,
        running(server, text) as program,
    ):
        assert await program.says() == "closed"
        await server.closed()  # while the child still lives
        program.tell("end")
        code, said, _ = await program.end()
    assert (code, said) == (0, "0\n")


@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
async def test_children_of_multiprocessing_use_a_client_of_their_own(
    way: str, tmp_path: Path
) -> None:
    text = f"""
import multiprocessing

client = client_of()

def work(number):
    signal.alarm(20)
    assert asyncio.run(client.leads.get(number)).id == 7
    asyncio.run(client.aclose())

def main():
    asyncio.run(client.leads.get(1))
    context = multiprocessing.get_context({way!r})
    children = [context.Process(target=work, args=(number,)) for number in (2, 3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    asyncio.run(client.leads.get(4))
    asyncio.run(client.aclose())
    say(*(child.exitcode for child in children))

if __name__ == "__main__":
    main()
"""
    async with ScriptedServer(answers_everything) as server:
        async with running(server, text, "-W", "error", folder=tmp_path) as program:
            assert await program.end() == (0, "0 0\n", "")
        assert (server.connections, len(server.requests)) == (4, 4)


async def test_a_client_does_not_go_along_in_a_pickle() -> None:
    async with AsyncClient(KEY, base_url=BASE_URL) as client:
        with pytest.raises(TypeError, match=r"not pickled.*create a client in the other process"):
            pickle.dumps(client)
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(client.with_options(lane="bulk").leads)


async def test_a_child_that_ends_complains_of_nothing() -> None:
    text = """
async def main():
    async with client:
        await client.leads.get(1)
        pid = os.fork()
        if not pid:
            asyncio.run(client.leads.get(2))
            asyncio.run(client.aclose())
            os._exit(0)
        os.waitpid(pid, 0)

client = client_of()
asyncio.run(main())
"""
    assert await outcome_of(text, "-W", "always") == (0, "", "")


async def test_a_fork_in_the_middle_of_a_write_leaves_the_write_to_the_parent() -> None:
    text = """
async def main():
    async with client:
        call = asyncio.ensure_future(client.leads.create(name="Ana", pipeline_id=1, stage_id=1))
        await asyncio.to_thread(sys.stdin.readline)
        say(in_the_child(ask, 2))
        say((await call).id)

client = client_of()
asyncio.run(main())
"""
    go_on = asyncio.Event()

    async def answers_when_told(connection: Connection) -> None:
        await connection.request()
        await go_on.wait()
        await connection.send(LEAD)
        await connection.gone()

    async with (
        ScriptedServer(answers_when_told, answers_everything) as server,
        running(server, FORKING + text) as program,
    ):
        await server.arrived()
        program.tell("fork")
        assert await program.says() == "0"
        go_on.set()
        assert await program.says() == "7"
        assert (await program.end())[0] == 0
        assert [raw.split()[0] for raw in server.requests] == [b"POST", b"GET"]
