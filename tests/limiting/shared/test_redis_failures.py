"""What a Redis says when it cannot be used now, or not at all."""

from __future__ import annotations

import asyncio
import itertools
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import Join, Limit, SyncRequest
from syncro_async.limiting.budget.state import OWNER_TTL
from syncro_async.limiting.shared.redis_store import RedisStore, longest_backoff
from syncro_async.limiting.shared.store import StoreUnreachableError
from syncro_async.testing.fake_clock import FakeClock
from tests.redis_server import RedisServer, answers, program, running

LIMITS = [Limit(2, 60.25)]


def request(owner: str, joins: str = "") -> SyncRequest:
    waiting = [Join(lease_id, bulk=False) for lease_id in joins.split()]
    return SyncRequest(owner, "v", LIMITS, 30.0, joins=waiting)


@pytest.fixture(scope="module")
def running_server() -> Iterator[RedisServer]:
    with running("redis-server") as server:
        yield server


@pytest.fixture
def server(running_server: RedisServer) -> RedisServer:
    with running_server.client() as client:
        client.flushall()
    return running_server


@asynccontextmanager
async def store_at(url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(url)
    yield store
    await store.aclose()


class TestForGood:
    async def test_a_database_that_the_server_does_not_have(self, server: RedisServer) -> None:
        async with store_at(server.url.removesuffix("/0") + "/99") as store:
            with pytest.raises(ConfigurationError, match="DB index is out of range; name a data"):
                await store.sync("k", request("a"))

    async def test_a_user_without_the_permissions(self, server: RedisServer) -> None:
        with server.client() as client:
            client.acl_setuser(
                "crm", reset=True, enabled=True, nopass=True, commands=["+@read"], keys=["*"]
            )
        async with store_at(server.url.replace("//", "//crm:x@")) as store:
            with pytest.raises(ConfigurationError, match="allow this user to run EVALSHA"):
                await store.sync("k", request("a"))

    async def test_the_permissions_that_the_error_names_are_enough(
        self, server: RedisServer
    ) -> None:
        named = "EVALSHA SCRIPT|LOAD TIME GET GETRANGE SET ZADD ZREM ZRANGE PEXPIRE".lower()
        commands = [f"+{command}" for command in [*named.split()]]
        with server.client() as client:
            client.acl_setuser(
                "crm",
                reset=True,
                enabled=True,
                nopass=True,
                commands=commands,
                keys=["*syncro_async:*"],
            )
        async with store_at(server.url.replace("//", "//crm:x@")) as store:
            assert (await store.sync("k", request("a", "a1"))).granted == ["a1"]

    async def test_entries_of_another_program(self, server: RedisServer) -> None:
        with server.client() as client:
            client.lpush("syncro_async:k", "something")
        async with store_at(server.url) as store:
            with pytest.raises(ConfigurationError, match="another program uses the entries"):
                await store.sync("k", request("a"))

    @pytest.mark.parametrize(
        ("stored", "message"),
        [
            (b"\x8a\xa6limits\x91", "another version of syncro_async wrote"),
            (b"syncro-budget/2 e 1 2\n\x80", "another version"),
            (b"syncro-budget/3 e 1 2\n\x93\x01", "or other data"),
        ],
        ids=["of release 0.1", "of another version", "damaged"],
    )
    async def test_a_budget_that_cannot_be_read(
        self, server: RedisServer, stored: bytes, message: str
    ) -> None:
        with server.client() as client:
            client.set("syncro_async:k", stored)
        async with store_at(server.url) as store:
            with pytest.raises(ConfigurationError, match=message):
                await store.sync("k", request("a"))

    @pytest.mark.parametrize(
        ("reply", "cure"),
        [
            (b"-MOVED 1234 127.0.0.1:1\r\n", "a cluster is not supported"),
            (b"-CROSSSLOT Keys in request don't hash to the same slot\r\n", "a cluster is not"),
            (b"-ERR unknown command 'EVALSHA'\r\n", "it needs a server with EVALSHA"),
        ],
    )
    async def test_a_server_of_another_kind(self, reply: bytes, cure: str) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                words = [await _word(reader) for _ in range(int(line[1:]))]
                scripts = words[0].upper() in {b"EVALSHA", b"SCRIPT", b"EVAL"}
                writer.write(reply if scripts else b"+OK\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            async with store_at(f"redis://127.0.0.1:{port}?protocol=2") as store:
                with pytest.raises(ConfigurationError, match=cure):
                    await store.sync("k", request("a"))


async def _word(reader: asyncio.StreamReader) -> bytes:
    length = int((await reader.readline())[1:])
    return (await reader.readexactly(length + 2))[:-2]


class TestForNow:
    async def test_a_server_that_became_a_replica(self, server: RedisServer) -> None:
        async with store_at(server.url) as store:
            await store.sync("k", request("a"))
            with server.client() as client:
                client.replicaof("127.0.0.1", 1)
                try:
                    with pytest.raises(StoreUnreachableError, match=r"(?i)read.?only"):
                        await store.sync("k", request("a", "a1"))
                finally:
                    client.replicaof("NO", "ONE")
            assert (await store.sync("k", request("a", "a1"))).granted == ["a1"]

    async def test_processes_that_change_the_state_each_time(self, server: RedisServer) -> None:
        times = itertools.count(1000.0, 2.0)

        class Late(RedisStore):
            """A store that always writes two seconds after it read."""

            def _given_time(self) -> str:
                return repr(next(times))

        store = Late(server.url, FakeClock())
        with pytest.raises(StoreUnreachableError, match="changed the limiter's Redis each time"):
            await store.sync("k", request("a", "a1"))
        await store.aclose()

    @pytest.mark.parametrize(
        ("collisions", "processes", "took", "longest"),
        [
            (1, 64, 0.004, 0.008),
            (3, 64, 0.004, 0.032),
            (100, 64, 0.004, 0.256),
            (100, 64, 0.1, OWNER_TTL / 4),
            (100, 1, 0.004, 0.008),
        ],
    )
    def test_after_collisions_there_is_time_for_an_attempt_of_each_process(
        self, collisions: int, processes: int, took: float, longest: float
    ) -> None:
        assert longest_backoff(collisions, processes, took) == pytest.approx(longest)

    async def test_two_stores_that_collide_both_get_their_slots(self, server: RedisServer) -> None:
        async with store_at(server.url) as one, store_at(server.url) as other:
            for round_ in range(5):
                key = f"k{round_}"
                got = await asyncio.gather(
                    *(
                        store.sync(key, request(f"{id(store)}", "x" + str(id(store))))
                        for store in (one, other)
                    )
                )
                assert sum(len(response.granted) for response in got) == 2


@pytest.fixture
def sentinel(server: RedisServer, tmp_path: Path) -> Iterator[int]:
    """The port of a sentinel that watches the server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor crm 127.0.0.1 {server.port} 1\n"
    )
    command = [program("redis-server"), str(config), "--sentinel"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            while not answers(client):
                assert process.poll() is None
        yield port
    finally:
        process.kill()
        process.wait()


class TestSentinel:
    async def test_the_master_is_that_of_the_sentinels(
        self, server: RedisServer, sentinel: int
    ) -> None:
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel}/crm/0?socket_timeout=1"
        async with store_at(url) as store:
            assert (await store.sync("k", request("a", "a1"))).granted == ["a1"]
        with server.client() as direct:
            assert direct.exists("syncro_async:k")

    @pytest.mark.parametrize(
        "url",
        [
            "redis+sentinel://host:26379",
            "redis+sentinel://user:geheim@/crm",
            "rediss+sentinel://host:port/crm",
        ],
    )
    def test_a_url_that_cannot_be_read_is_refused_at_once(self, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"redis\+sentinel://user:password") as caught:
            RedisStore(url)
        assert "geheim" not in str(caught.value)

    def test_a_password_and_tls_are_taken_from_the_url(self) -> None:
        RedisStore("rediss+sentinel://user:p%40ss@one:26379,two/crm/3")

    @pytest.mark.parametrize("scheme", ["redis", "redis+sentinel"])
    def test_an_option_that_changes_the_answers_is_refused(self, scheme: str) -> None:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            RedisStore(
                f"{scheme}://127.0.0.1:6379/crm?decode_responses=1".replace(
                    "redis://127.0.0.1:6379/crm", "redis://127.0.0.1:6379/0"
                )
            )
