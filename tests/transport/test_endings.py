"""Programs that end, or forget their client: one warning, and no other noise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from tests.transport.programs import answers_everything, answers_nothing, running
from tests.transport.scripted_server import Connection, ScriptedServer, http

UVLOOP = """
import uvloop

def run(work):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
"""
ASYNCIO = "run = asyncio.run\n"
LOOPS = pytest.mark.parametrize("loop", [ASYNCIO, UVLOOP], ids=["asyncio", "uvloop"])


def on_each_loop(ways: Iterable[str], also_on_uvloop: set[str]) -> pytest.MarkDecorator:
    cases = [pytest.param(way, ASYNCIO, id=way) for way in ways]
    cases += [pytest.param(way, UVLOOP, id=f"{way}, uvloop") for way in sorted(also_on_uvloop)]
    return pytest.mark.parametrize(("way", "loop"), cases)


FORGETFUL = {
    "collected after its loop": """
client = client_of()
run(client.leads.get(7))
del client
gc.collect()
""",
    "collected in its loop": """
async def main():
    client = client_of()
    await client.leads.get(7)
    del client
    gc.collect()
    await asyncio.to_thread(sys.stdin.readline)

run(main())
""",
    "used in two loops, then collected": """
client = client_of()
run(client.leads.get(7))
run(client.leads.get(7))
del client
gc.collect()
""",
    "used in a thread's loop, then collected": """
client = client_of()
thread = threading.Thread(target=lambda: run(client.leads.get(7)))
thread.start()
thread.join()
del client, thread
gc.collect()
""",
    "never collected before the end": """
client = client_of()
run(client.leads.get(7))
""",
    "collected by another thread": """
async def main():
    client = client_of()
    await client.leads.get(7)
    del client
    await asyncio.to_thread(gc.collect)
    await asyncio.to_thread(sys.stdin.readline)

run(main())
""",
    "left to its view": """
async def main():
    view = client_of().with_options(lane="bulk")
    await view.leads.get(7)

run(main())
gc.collect()
""",
}


@on_each_loop(FORGETFUL, {"collected after its loop", "collected in its loop"})
async def test_a_forgotten_client_is_told_of_once_and_closed(way: str, loop: str) -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        running(server, loop + FORGETFUL[way], "-W", "always") as program,
    ):
        await server.arrived()
        await server.closed()
        program.tell("end")
        code, said, complained = await program.end()
    assert (code, said) == (0, "")
    assert complained.count("Warning: ") == 1 + complained.count("Enable tracemalloc")
    assert f"ResourceWarning: a client of {server.url} was used and never closed" in complained
    assert "call `await client.aclose()`" in complained
    assert "Traceback" not in complained
    assert "unclosed transport" not in complained


CAREFUL = """
def calls_of(client):
    return [asyncio.ensure_future(client.leads.get(number)) for number in range(30)]

async def in_its_loop():
    async with client_of() as client:
        await client.leads.get(7)

async def with_calls_under_way():
    async with client_of() as client:
        calls = calls_of(client)
        await calls[0]
        for call in calls:
            call.cancel()

run(in_its_loop())
run(with_calls_under_way())
client = client_of()
run(client.leads.get(7))
run(client.leads.get(7))
run(client.aclose())
gc.collect()
only_made = client_of()
only_made.budget()
"""


@LOOPS
async def test_clients_that_were_closed_leave_no_word(loop: str) -> None:
    async with (
        ScriptedServer(answers_everything) as server,
        running(server, loop + CAREFUL, "-W", "always") as program,
    ):
        assert await program.end() == (0, "", "")


WRITING = """
async def write(client):
    await client.leads.create(name="Ana", pipeline_id=1, stage_id=1)

async def told():
    await asyncio.to_thread(sys.stdin.readline)
"""
UNKNOWN = (
    "POST /leads was cancelled after it was sent: its outcome is unknown, the client ended before"
    " the answer came\n"
)
IN_THE_MIDDLE = {
    "the program exits": (
        """
async def main():
    call = asyncio.ensure_future(write(client_of()))
    await told()
    sys.exit(3)

run(main())
""",
        3,
        UNKNOWN,
    ),
    "its main function returns": (
        """
async def main():
    call = asyncio.ensure_future(write(client_of()))
    await told()

run(main())
""",
        0,
        UNKNOWN,
    ),
    "the call is in a thread that nobody waits for": (
        """
async def main():
    await write(client_of())

threading.Thread(target=run, args=(main(),), daemon=True).start()
sys.stdin.readline()
""",
        0,
        "",
    ),
    "the loop just stops": (
        """
async def main():
    global call
    call = asyncio.ensure_future(write(client_of()))
    await told()

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
        0,
        "",
    ),
}


@on_each_loop(IN_THE_MIDDLE, {"the program exits"})
async def test_python_s_end_in_the_middle_of_a_call_is_quiet(way: str, loop: str) -> None:
    text, code, complained = IN_THE_MIDDLE[way]
    async with (
        ScriptedServer(answers_nothing) as server,
        running(server, loop + WRITING + text) as program,
    ):
        await server.arrived()
        program.tell("end")
        assert await program.end() == (code, "", complained)


async def test_ctrl_c_follows_the_write_on_the_wire_and_says_what_became_of_it() -> None:
    text = """
async def main():
    async with client_of() as client:
        try:
            await write(client)
        finally:
            say("leaving")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    say("stopped")
"""
    gone = asyncio.Event()

    async def answers_late(connection: Connection) -> None:
        await connection.request()
        await gone.wait()
        await connection.send(http(b'{"success": true, "lead": {"id": 7}}', "201 Created"))
        await connection.gone()

    async with (
        ScriptedServer(answers_late) as server,
        running(server, WRITING + text, "-W", "always") as program,
    ):
        await server.arrived()
        program.interrupt()
        assert await program.says() == "leaving"
        gone.set()
        assert await program.says() == "stopped"
        code, _, complained = await program.end()
    assert code == 0
    assert complained == "POST /leads was cancelled after it was sent: the server answered 201\n"


async def test_a_second_ctrl_c_waits_for_nothing() -> None:
    text = """
async def main():
    async with client_of() as client:
        try:
            await write(client)
        finally:
            say("leaving")

try:
    asyncio.run(main())
except KeyboardInterrupt:
    say("stopped")
"""
    async with (
        ScriptedServer(answers_nothing) as server,
        running(server, WRITING + text, "-W", "always") as program,
    ):
        await server.arrived()
        program.interrupt()
        assert await program.says() == "leaving"
        program.interrupt()
        assert await program.says() == "stopped"
        assert await program.end() == (0, "", UNKNOWN)
