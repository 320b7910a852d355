"""A server of the leads API that changes what it stores, and loses answers as it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Literal
from urllib.parse import parse_qs

import httpx

from syncro_async import AsyncClient
from syncro_async.testing import FakeClock

Fate = Literal["fine", "lost", "never", "html", "late", "down", "error"]
"""What happens to a write: it is executed and answered, executed and its answer is lost, lost
before it is executed, executed and answered with a web page, executed 20 s after the connection
broke, refused because the server is away, or answered with 500 after it was executed."""


class RawServer:
    """Leads in a list; every way to write a value that the API does not rule out.

    - `folds`: it trims and lower-cases emails and names, drops what follows a plus sign, and adds
      a country code to phones
    - `clock_off`: how far its clock is ahead of the client's (s)
    - `search_lag`: how old a lead must be before `q` finds it (s)
    - `stop_at`: the number of the request that sets `stopped`
    - `dates`: how it writes `created_at`: as documented, as MySQL's zero date, or not at all
    """

    def __init__(
        self,
        clock: FakeClock,
        *,
        folds: bool = True,
        clock_off: float = 660.0,
        search_lag: float = 3600.0,
        dates: Literal["iso", "zero", "none"] = "zero",
        tells_time: bool = True,
        page_size: int = 200,
    ) -> None:
        self.clock = clock
        self.folds, self.clock_off, self.search_lag = folds, clock_off, search_lag
        self.dates, self.tells_time, self.page_size = dates, tells_time, page_size
        self.leads: dict[int, dict[str, Any]] = {}
        self.fates: deque[Fate] = deque()
        self.reads: deque[Fate] = deque()
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self.stop_at = 0
        self.stopped = asyncio.Event()
        self._ids = itertools.count(1)
        self._late: set[asyncio.Task[None]] = set()

    def client(self, **settings: Any) -> AsyncClient:
        """A client whose transport is this server."""
        settings.setdefault("rate_limit", None)
        transport = httpx.MockTransport(self._handle)
        return AsyncClient("crm_x", transport=transport, clock=self.clock, **settings)

    def posts(self, path: str = "/leads") -> list[dict[str, Any]]:
        """The bodies of the writes to that path."""
        return [body for method, at, body in self.requests if (method, at) == ("POST", path)]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The leads of that name, whatever its capitals and spaces."""
        wanted = name.strip().casefold()
        return [lead for lead in self.leads.values() if lead["name"].strip().casefold() == wanted]

    def add(self, **fields: Any) -> dict[str, Any]:
        """Store a lead, as another writer does."""
        lead = {"tags": [], "pipeline_id": 1, "stage_id": 4, **self._stored(fields)}
        lead |= {"id": next(self._ids), "at": self.clock.wall() + self.clock_off}
        self.leads[lead["id"]] = lead
        return lead

    def _stored(self, fields: dict[str, Any]) -> dict[str, Any]:
        stored = dict(fields)
        if not self.folds:
            return stored
        if "name" in stored:
            stored["name"] = " ".join(stored["name"].upper().split())
        if stored.get("email"):
            local, _, domain = stored["email"].strip().lower().partition("@")
            stored["email"] = f"{local.partition('+')[0]}@{domain}"
        if stored.get("phone"):
            digits = "".join(filter(str.isdigit, stored["phone"]))
            stored["phone"] = digits if digits.startswith("55") else f"55{digits}"
        return stored

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(request.content) if request.content else {}
        self.requests.append((request.method, path, body))
        if len(self.requests) == self.stop_at:
            self.stopped.set()
        if request.method == "GET":
            fate = self.reads.popleft() if self.reads else "fine"
            if fate == "down":
                raise httpx.ConnectError("no route to host")
            return self._read(path, parse_qs(request.url.query.decode()))
        fate = self.fates.popleft() if self.fates else "fine"
        if fate == "down":
            raise httpx.ConnectError("no route to host")
        if fate == "never":
            raise httpx.ReadError("the connection broke")
        if fate == "late":
            task = asyncio.create_task(self._later(path, body))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise httpx.ReadError("the connection broke")
        answer = self._write(request.method, path, body)
        if fate == "lost":
            raise httpx.ReadError("the connection broke")
        if fate == "html":
            return httpx.Response(200, html="<html>welcome</html>")
        return httpx.Response(500, text="oops") if fate == "error" else answer

    async def _later(self, path: str, body: dict[str, Any]) -> None:
        await self.clock.sleep(20.0)
        self._write("POST", path, body)

    def _write(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response:
        if path == "/leads":
            return self._answer({"lead": self._shown(self.add(**body))}, 201)
        if path == "/leads/upsert":
            return self._upsert(body)
        lead = self.leads[int(path.split("/")[2])]
        if method == "DELETE":
            del self.leads[lead["id"]]
            return self._answer({})
        lead["tags"] = list(dict.fromkeys([*lead["tags"], *body["tags"]]))
        return self._answer({"tags": lead["tags"]})

    def _upsert(self, body: dict[str, Any]) -> httpx.Response:
        """Look for the key as it was sent, among the keys as they are stored."""
        keys = {"email": ("email",), "phone": ("phone",)}.get(body["match_by"], ("email", "phone"))
        fields = {name: value for name, value in body.items() if name != "match_by"}
        for key in keys:
            for lead in self.leads.values():
                if body.get(key) and lead.get(key) == body[key]:
                    lead.update(self._stored(fields))
                    return self._answer({"created": False, "lead": self._shown(lead)})
        return self._answer({"created": True, "lead": self._shown(self.add(**fields))}, 201)

    def _read(self, path: str, query: dict[str, list[str]]) -> httpx.Response:
        if path == "/account":
            return self._answer({"account": {"id": 7, "name": "A", "plan": "pro"}})
        if path == "/pipelines":
            return self._answer({"pipelines": [], "lost_reasons": []})
        if path != "/leads":
            lead = self.leads.get(int(path.split("/")[2]))
            if lead is None:
                return httpx.Response(404, json={"success": False, "message": "não existe"})
            return self._answer({"lead": self._shown(lead)})
        now = self.clock.wall() + self.clock_off
        found = list(self.leads.values())
        if "created_from" in query:
            since = datetime.fromisoformat(query["created_from"][0]).replace(tzinfo=UTC).timestamp()
            found = [lead for lead in found if lead["at"] >= since]
        if "created_to" in query:
            day = datetime.fromisoformat(query["created_to"][0]).replace(tzinfo=UTC).timestamp()
            found = [lead for lead in found if lead["at"] < day + 86_400]
        if "q" in query:
            words = query["q"][0].casefold()
            found = [lead for lead in found if now - lead["at"] >= self.search_lag]
            found = [lead for lead in found if words in json.dumps(self._shown(lead)).casefold()]
        page, size = int(query["page"][0]), min(self.page_size, int(query["per_page"][0]))
        last = max(1, -(-len(found) // size))
        meta = {"total": len(found), "per_page": size, "current_page": page, "last_page": last}
        shown = [self._shown(lead) for lead in found[(page - 1) * size : page * size]]
        return self._answer({"data": shown, "meta": meta})

    def _shown(self, lead: dict[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in lead.items() if name != "at"}
        if self.dates == "iso":
            shown["created_at"] = datetime.fromtimestamp(lead["at"], UTC).isoformat()
        elif self.dates == "zero":
            shown["created_at"] = "0000-00-00 00:00:00"
        return shown

    def _answer(self, body: dict[str, Any], status: int = 200) -> httpx.Response:
        now = self.clock.wall() + self.clock_off
        headers = {"date": formatdate(now, usegmt=True)} if self.tells_time else {}
        return httpx.Response(status, json={"success": True, **body}, headers=headers)


DOWN: tuple[Fate, ...] = ("down",)


def some_fates(count: int, seed: int) -> Iterator[Fate]:
    """Fates at random, of which every third or so is not fine."""
    dice = random.Random(seed)  # noqa: S311  # to be the same every time
    odd: tuple[Fate, ...] = ("lost", "never", "html", "late", "error")
    for _ in range(count):
        yield dice.choice(odd) if dice.random() < 0.3 else "fine"
