"""A caller who disconnects gives its place in the queue back, and nothing else is torn apart."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import anyio
import pytest
import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from syncro_async import AsyncClient, RateLimit
from syncro_async.integrations.client_disconnects import ClientDisconnects
from syncro_async.integrations.fastapi import StructResponse, SyncroDep, syncro_lifespan
from syncro_async.limiting.protocol import Slot
from syncro_async.limiting.shared.limiter import SharedLimiter
from syncro_async.sandbox import Sandbox, Trouble
from syncro_async.testing.fake_clock import FakeClock
from tests.integrations.serving_app import Visit, bound_to
from tests.limiting.shared.memory_store import MemoryStore

Syncro = Annotated[AsyncClient, SyncroDep]


class Service:
    """An application whose calls a minute, one as a rule, have just been spent."""

    def __init__(self, calls: int = 1, clock: FakeClock | None = None, **options: Any) -> None:
        self.clock = clock or FakeClock(autojump=False)
        self.sandbox = Sandbox(10, clock=self.clock)
        options = {"rate_limit": RateLimit(calls, 60.0), **options}
        options = bound_to(self.sandbox, self.clock, **options)
        self.app = FastAPI(lifespan=syncro_lifespan(**options))
        self.noted: list[str] = []
        self.detached: asyncio.Task[None] | None = None

    @property
    def syncro(self) -> AsyncClient:
        client: AsyncClient = self.app.state.syncro
        return client

    @property
    def asked_for(self) -> list[str]:
        """What arrived at the API after that first call."""
        return [arrival.path for arrival in self.sandbox.arrivals][1:]

    async def settle(self) -> None:
        """Let everything run that can run now."""
        await self.clock.advance(0)

    async def next_minute(self) -> None:
        await self.clock.advance(61)

    async def visit(self, path: str, *, bodiless: bool = True, **how: Any) -> Visiting:
        """A caller's request, as far as it gets without anybody's help."""
        visit = Visit(self.app, path, **how)
        if bodiless:
            visit.say()
        task = visit.start()
        await self.settle()
        return Visiting(visit, task)

    def waiting(self) -> int:
        return self.syncro.budget().waiting


class Visiting:
    def __init__(self, visit: Visit, task: asyncio.Task[None]) -> None:
        self.visit = visit
        self.task = task


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    add_routes(service)
    add_lasting_routes(service)
    async with service.app.router.lifespan_context(service.app):
        await service.syncro.leads.get(1)
        yield service


def add_routes(service: Service) -> None:
    app = service.app

    @app.get("/leads/{lead_id}")
    async def read(lead_id: int, syncro: Syncro) -> StructResponse:
        return StructResponse({"id": (await syncro.leads.get(lead_id)).id})

    @app.get("/both")
    async def both(syncro: Syncro) -> int:
        return len(await asyncio.gather(syncro.leads.get(2), syncro.leads.get(3)))

    @app.post("/tagged")
    async def tag(syncro: Syncro) -> int:
        tags = await syncro.leads.add_tags(2, ["vip"])
        service.noted.append("tagged")
        await syncro.leads.add_tags(2, ["more"])
        service.noted.append("tagged again")
        return len(tags)

    @app.get("/tidy")
    async def tidy(syncro: Syncro) -> int:
        try:
            await syncro.leads.get(2)
        finally:
            await syncro.leads.remove_tag(2, "reserved")
            service.noted.append("tidied up")
        return 0

    @app.post("/read-late")
    async def read_late(request: Request, syncro: Syncro) -> str:
        await syncro.leads.get(2)
        return (await request.body()).decode()


def add_lasting_routes(service: Service) -> None:
    """Those that are not done with the value a handler returns."""
    app = service.app

    @app.get("/stream")
    async def stream(syncro: Syncro, background: BackgroundTasks) -> StreamingResponse:
        async def ids() -> AsyncIterator[str]:
            yield "first,"
            yield str((await syncro.leads.get(2)).id)

        background.add_task(service.noted.append, "after the stream")
        return StreamingResponse(ids(), background=background)

    @app.get("/second-stream")
    async def second_stream(syncro: Syncro, background: BackgroundTasks) -> StreamingResponse:
        await syncro.leads.get(3)
        return await stream(syncro, background)

    @app.get("/detached")
    async def detached(syncro: Syncro) -> None:
        async def job() -> None:
            await service.clock.sleep(1)
            await syncro.leads.get(2)

        service.detached = asyncio.create_task(job())
        await service.clock.sleep(1_000)

    @app.get("/later")
    async def later(syncro: Syncro, background: BackgroundTasks) -> str:
        async def job() -> None:
            service.noted.append(f"lead {(await syncro.leads.get(2)).id}")

        background.add_task(job)
        return "accepted"


def behind_middleware(layers: int, service: Service | None = None) -> Service:
    service = service or Service()
    add_routes(service)

    async def note(request: Request, call_next: RequestResponseEndpoint) -> Response:
        service.noted.append(request.url.path)
        return await call_next(request)

    for _ in range(layers):
        service.app.middleware("http")(note)
    return service


async def test_who_leaves_the_queue_has_nothing_sent_and_the_next_one_moves_up(
    service: Service,
) -> None:
    first = await service.visit("/leads/2")
    second = await service.visit("/leads/3")
    assert service.waiting() == 2
    first.visit.leave()
    await first.task
    assert (service.waiting(), first.visit.sent) == (1, [])
    assert (first.task.cancelled(), first.task.cancelling()) == (False, 0)
    await service.next_minute()
    await second.task
    assert (second.visit.status, second.visit.body) == (200, b'{"id":3}')
    assert service.asked_for == ["/leads/3"]


@pytest.mark.parametrize("layers", [1, 2, 3])
async def test_so_it_is_behind_middleware_that_runs_the_handler_in_a_task_of_its_own(
    layers: int,
) -> None:
    service = behind_middleware(layers)
    async with service.app.router.lifespan_context(service.app):
        await service.syncro.leads.get(1)
        here = await service.visit("/leads/2")
        assert service.waiting() == 1
        here.visit.leave()
        await here.task
        assert (here.task.cancelled(), here.task.cancelling()) == (False, 0)
        assert service.noted == ["/leads/2"] * layers
        assert (service.waiting(), here.visit.sent) == (0, [])


class AfterSomeTurns:
    """A budget that is asked for a slot in another place, which takes some turns of the loop."""

    def __init__(self, limiter: SharedLimiter, turns: int) -> None:
        self._limiter = limiter
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limiter, name)

    async def acquire(self, *asked: Any, **options: Any) -> Slot:
        for _ in range(self._turns):
            await asyncio.sleep(0)
        return await self._limiter.acquire(*asked, **options)


@pytest.mark.parametrize("turns", range(12))
async def test_no_write_is_begun_during_a_cancellation(turns: int) -> None:
    clock = FakeClock(autojump=False)
    rates = [RateLimit(2, 60.0)]
    shared = SharedLimiter(MemoryStore(clock), "key", rates, timeout=30.0, clock=clock)
    limiter: Any = AfterSomeTurns(shared, turns)
    service = behind_middleware(2, Service(limiter=limiter, clock=clock))
    async with service.app.router.lifespan_context(service.app):
        await service.syncro.leads.get(1)
        await service.syncro.leads.get(1)
        service.sandbox.script(Trouble(path="/leads/2/tags", delay=5, times=2))
        here = await service.visit("/tagged", method="POST")
        await service.next_minute()
        here.visit.leave()
        # The first write is answered, and by then the second would find a slot free.
        await service.clock.advance(20)
        await here.task
        await service.clock.advance(20)
    written = [what for what in service.noted if what.startswith("tagged")]
    assert service.asked_for[1:] == ["/leads/2/tags"] * len(written)
    await shared.aclose()


async def test_all_the_calls_a_handler_makes_at_once_leave_with_the_caller(
    service: Service,
) -> None:
    here = await service.visit("/both")
    assert service.waiting() == 2
    here.visit.leave()
    await here.task
    await service.next_minute()
    assert (service.waiting(), service.asked_for) == (0, [])


async def test_a_caller_who_stays_is_answered_and_the_server_is_left_alone_afterwards(
    service: Service,
) -> None:
    here = await service.visit("/leads/2")
    await service.next_minute()
    await here.task
    assert (here.visit.status, here.visit.body) == (200, b'{"id":2}')
    # The empty body, and one that was still awaited when the answer was there.
    assert here.visit.pulled == 2


async def test_who_leaves_while_a_write_is_on_the_wire_has_it_finished_and_noted(
    service: Service,
) -> None:
    service.sandbox.script(Trouble(path="/leads/2/tags", delay=5))
    here = await service.visit("/tagged", method="POST")
    await service.next_minute()
    assert service.asked_for == ["/leads/2/tags"]
    here.visit.leave()
    await service.clock.advance(4)
    assert service.noted == []
    # The answer comes, the handler goes on, and its second call would have to wait: it does not.
    await service.clock.advance(2)
    await here.task
    assert service.noted == ["tagged"]
    await service.next_minute()
    assert (service.waiting(), service.asked_for) == (0, ["/leads/2/tags"])


async def test_a_call_that_need_not_wait_is_made_for_who_has_left_too() -> None:
    service = Service(calls=2)
    add_routes(service)
    async with service.app.router.lifespan_context(service.app):
        for lead_id in (1, 1):
            await service.syncro.leads.get(lead_id)
        service.sandbox.script(Trouble(path="/leads/2/tags", delay=5))
        here = await service.visit("/tagged", method="POST")
        await service.next_minute()
        here.visit.leave()
        # The second write finds a slot free: it is not begun, and then abandoned on the wire.
        service.sandbox.script(Trouble(path="/leads/2/tags", delay=5))
        await service.clock.advance(20)
        await here.task
    assert service.noted == ["tagged", "tagged again"]


async def test_a_handler_that_tidies_up_for_who_has_left_may_wait_for_its_turn(
    service: Service,
) -> None:
    here = await service.visit("/tidy")
    here.visit.leave()
    await service.settle()
    assert (service.waiting(), here.task.done()) == (1, False)
    await service.next_minute()
    await here.task
    assert service.noted == ["tidied up"]
    assert service.asked_for == ["/leads/2/tags/reserved"]


@pytest.mark.parametrize("layers", [0, 1, 2])
async def test_behind_middleware_it_may_inside_a_shield(layers: int) -> None:
    service = behind_middleware(layers)

    @service.app.get("/shielded")
    async def shielded(syncro: Syncro) -> None:
        try:
            await syncro.leads.get(2)
        finally:
            with anyio.CancelScope(shield=True):
                await syncro.leads.remove_tag(2, "reserved")

    async with service.app.router.lifespan_context(service.app):
        await service.syncro.leads.get(1)
        here = await service.visit("/shielded")
        here.visit.leave()
        await service.next_minute()
        await here.task
    assert service.asked_for == ["/leads/2/tags/reserved"]


async def test_a_body_that_arrives_meanwhile_is_read_afterwardsin_order(service: Service) -> None:
    here = await service.visit("/read-late", method="POST", bodiless=False)
    for part in (b"one ", b"two ", b"three"):
        here.visit.say(part, more=part != b"three")
    await service.settle()
    # One message ahead, and no more: the rest stays with the server, which can hold it back.
    assert here.visit.pulled == 1
    await service.next_minute()
    await here.task
    assert here.visit.body == b'"one two three"'


async def test_one_who_leaves_after_a_whole_body_that_nobody_has_read_is_noticed(
    service: Service,
) -> None:
    here = await service.visit("/read-late", method="POST", bodiless=False)
    here.visit.say(b"whole")
    await service.settle()
    here.visit.leave()
    await here.task
    assert (service.waiting(), here.visit.sent) == (0, [])


@pytest.mark.parametrize(
    ("spec_version", "noted"), [("2.3", ["after the stream"]), ("2.4", [])], ids=["2.3", "2.4"]
)
async def test_a_stream_that_waits_for_budget_ends_when_its_reader_leaves(
    service: Service, spec_version: str, noted: list[str]
) -> None:
    # By the first version, Starlette's streams listen by themselves and run what comes after.
    here = await service.visit("/stream", spec_version=spec_version)
    assert (service.waiting(), here.visit.body) == (1, b"first,")
    here.visit.leave()
    await here.task
    assert service.noted == noted
    await service.next_minute()
    assert (service.waiting(), service.asked_for) == (0, [])


async def test_so_does_one_that_had_to_wait_before_it_began(service: Service) -> None:
    here = await service.visit("/second-stream")
    await service.next_minute()
    assert (service.waiting(), here.visit.body) == (1, b"first,")
    here.visit.leave()
    await here.task
    assert service.noted == ["after the stream"]
    await service.next_minute()
    assert (service.waiting(), service.asked_for) == (0, ["/leads/3"])


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_a_stream_whose_reader_stays_comes_whole(service: Service, spec_version: str) -> None:
    here = await service.visit("/stream", spec_version=spec_version)
    await service.next_minute()
    await here.task
    assert (here.visit.body, service.noted) == (b"first,2", ["after the stream"])


async def test_work_in_the_background_waits_on_after_the_answer(service: Service) -> None:
    here = await service.visit("/later")
    assert (here.visit.status, service.waiting()) == (200, 1)
    here.visit.leave()
    await service.next_minute()
    await here.task
    assert service.noted == ["lead 2"]


async def test_a_server_that_stops_cancels_a_handler_as_ever(service: Service) -> None:
    here = await service.visit("/leads/2")
    here.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await here.task
    assert service.waiting() == 0


async def test_also_when_the_caller_leaves_in_the_same_moment(service: Service) -> None:
    here = await service.visit("/tidy")
    here.visit.leave()
    await service.settle()
    here.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await here.task
    assert service.waiting() == 0


async def test_a_task_that_outlives_its_request_waits_for_nobody_and_looks_for_nobody(
    service: Service,
) -> None:
    here = await service.visit("/detached")
    here.task.cancel()
    await service.clock.advance(2)
    assert (service.waiting(), here.task.done(), here.visit.pulled) == (1, True, 0)
    await service.next_minute()
    assert service.detached is not None
    await service.detached
    assert service.asked_for == ["/leads/2"]


async def test_what_is_no_request_passes_untouched() -> None:
    seen: list[tuple[Scope, Receive, Send]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Any: ...
    async def send(message: Any) -> None: ...

    await ClientDisconnects(app)({"type": "websocket"}, receive, send)
    assert seen == [({"type": "websocket"}, receive, send)]


async def test_a_handler_in_a_thread_may_run_a_loop_of_its_own(service: Service) -> None:
    @service.app.get("/thread")
    def in_a_thread() -> str:
        assert threading.current_thread() is not threading.main_thread()
        return str(asyncio.run(spare.leads.get(2)).id)

    options = bound_to(service.sandbox, FakeClock(), base_url="http://localhost:81/api/v1")
    async with AsyncClient(**options) as spare:
        visit = Visit(service.app, "/thread")
        await visit.start()
    assert visit.body == b'"2"'
    assert visit.pulled == 0  # nothing of this loop was touched from there


async def test_an_error_of_the_server_reaches_who_reads_the_body(service: Service) -> None:
    seen: list[str] = []

    @service.app.post("/broken")
    async def read(request: Request, syncro: Syncro) -> None:
        await syncro.leads.get(2)
        try:
            await request.body()
        except ZeroDivisionError as error:
            seen.append(str(error))

    here = await service.visit("/broken", method="POST", bodiless=False)
    here.visit.break_off(ZeroDivisionError("of the server"))
    await service.next_minute()
    await here.task
    assert (seen, service.asked_for) == (["of the server"], ["/leads/2"])


async def reading_meanwhile(service: Service, read: Callable[[Request], Awaitable[object]]) -> Any:
    """A handler that waits for budget in one task and reads in the other."""

    @service.app.post("/meanwhile")
    async def meanwhile(request: Request, syncro: Syncro) -> None:
        await asyncio.gather(read(request), syncro.leads.get(2))

    return await service.visit("/meanwhile", method="POST", bodiless=False)


async def test_one_task_may_read_while_another_waits_for_budget(service: Service) -> None:
    async def read(request: Request) -> None:
        async for part in request.stream():
            service.noted.append(part.decode())

    here = await reading_meanwhile(service, read)
    assert here.visit.pulled == 1  # by one of the two
    for part in (b"one", b"two"):
        here.visit.say(part, more=part == b"one")
        await service.settle()
    assert service.noted == ["one", "two", ""]
    here.visit.leave()
    await here.task
    assert (service.waiting(), here.visit.sent) == (0, [])


async def test_who_leaves_in_mid_body_gives_the_other_tasks_place_back_too(
    service: Service,
) -> None:
    here = await reading_meanwhile(service, Request.body)
    here.visit.say(b"a beginning", more=True)
    await service.settle()
    here.visit.leave()
    await here.task
    assert (service.waiting(), here.visit.sent) == (0, [])


async def test_who_looks_whether_the_caller_is_still_there_is_told(service: Service) -> None:
    answers: list[bool] = []

    @service.app.get("/look")
    async def look(request: Request, syncro: Syncro) -> None:
        with suppress(asyncio.CancelledError):
            await syncro.leads.get(2)
        answers.extend([await request.is_disconnected() for _ in range(2)])
        service.noted.append((await request.receive())["type"])

    here = await service.visit("/look")
    here.visit.leave()
    await here.task
    assert answers == [False, True]  # the body, which nobody had read, then the leaving
    assert service.noted == ["http.disconnect"]  # and again, whether the server repeats it or not


async def test_one_look_is_enough_without_any_wait_before(service: Service) -> None:
    answers: list[bool] = []

    @service.app.get("/glance")
    async def glance(request: Request) -> None:
        answers.extend([await request.is_disconnected() for _ in range(2)])

    visit = Visit(service.app, "/glance")
    visit.say()
    visit.leave()
    await visit.start()
    assert answers == [False, True]


async def test_a_reader_that_gives_up_takes_nothing_along(service: Service) -> None:
    @service.app.post("/given-up")
    async def given_up(request: Request, syncro: Syncro) -> str:
        lead = asyncio.create_task(syncro.leads.get(2))
        await service.clock.sleep(1)
        reader = asyncio.ensure_future(request.receive())
        await service.clock.sleep(1)
        reader.cancel()
        await lead
        return (await request.body()).decode()

    here = await service.visit("/given-up", method="POST", bodiless=False)
    await service.clock.advance(3)
    here.visit.say(b"whole")
    await service.next_minute()
    await here.task
    assert here.visit.body == b'"whole"'


async def test_a_websocket_gets_its_client_too(service: Service) -> None:
    @service.app.websocket("/ws")
    async def socket(socket: WebSocket, syncro: Syncro) -> None:
        service.noted.append(repr(syncro))
        await socket.close()

    scope = {
        "type": "websocket",
        "path": "/ws",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
    }
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        said.append(message)

    await service.app(scope, receive, send)
    assert service.noted == ["<AsyncClient http://localhost/api/v1 lane=interactive>"]
    assert said[0]["type"] == "websocket.close"


async def test_a_real_server_tells_of_a_closed_connection(service: Service) -> None:
    config = uvicorn.Config(service.app, lifespan="off", log_config=None, ws="none")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET /leads/2 HTTP/1.1\r\nHost: service\r\n\r\n")
        while service.waiting() == 0:
            await service.settle()
        writer.close()
        while service.waiting() == 1:
            await service.settle()
        server.should_exit = True
        await serving
    assert await reader.read() == b""
    assert service.asked_for == []
