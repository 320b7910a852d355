"""A server on a socket that hands out a list page by page, byte for byte as a test says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from syncro_async import AsyncClient, RateLimit
from tests.transport.scripted_app import KEY, at_once
from tests.transport.scripted_server import Connection, ScriptedServer, http

META = {"total": 0, "per_page": 200, "current_page": 1, "last_page": 1, "has_more": False}


def body_of(items: Sequence[bytes], **meta: Any) -> bytes:
    """The body of a page of these items."""
    said = msgspec.json.encode({**META, "total": len(items), **meta})
    return b'{"success":true,"data":[%s],"meta":%s}' % (b",".join(items), said)


class RawList:
    """Answers each request by the number of the page it asks for; `asked` has these numbers.

    A POST is answered with `posted`; `posts` counts them.
    """

    def __init__(self, answer: Callable[[int], bytes], posted: bytes = b"") -> None:
        self._answer = answer
        self._posted = posted
        self.asked: list[int] = []
        self.posts = 0

    async def __call__(self, connection: Connection) -> None:
        while True:
            request = await connection.request()
            if self._posted and request.startswith(b"POST"):
                self.posts += 1
                await connection.send(http(self._posted))
                continue
            number = re.search(rb"[?&]page=(\d+)", request)
            self.asked.append(int(number[1]) if number else 1)
            raw = self._answer(self.asked[-1])
            await connection.send(raw if raw.startswith(b"HTTP/") else http(raw))


@asynccontextmanager
async def client_of_list(answer: Callable[[int], bytes] | RawList) -> AsyncIterator[AsyncClient]:
    """A client of such a server."""
    served = answer if isinstance(answer, RawList) else RawList(answer)
    rates = RateLimit(100_000, 60.0)
    async with (
        ScriptedServer(served) as server,
        AsyncClient(KEY, base_url=server.url, retry=at_once(1), rate_limit=rates) as client,
    ):
        yield client
