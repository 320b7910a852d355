"""A sandbox whose leads come, change and go while somebody reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from syncro_async.sandbox import Sandbox
from syncro_async.sandbox.data.lead_record import LeadRecord
from syncro_async.sandbox.data.sample_leads import moment

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ChangingSandbox(Sandbox):
    """Does `change(number)` after the answer to each request, counted from 1."""

    def __init__(
        self, leads: int, change: Callable[[int], object] | None = None, **how: Any
    ) -> None:
        super().__init__(leads, **how)
        self.change = change or self.stand_still
        self._pattern = dict(self.leads[1])
        self.now: Callable[[], datetime] | None = None
        self.answered = 0
        self.deleted: set[int] = set()

    @property
    def app(self) -> ASGIApp:
        inner = super().app

        async def changing(scope: Scope, receive: Receive, send: Send) -> None:
            await inner(scope, receive, send)
            self.answered += 1
            self.change(self.answered)

        return changing

    def stand_still(self, number: int) -> None:
        """Nothing happens."""

    def insert(self, **fields: Any) -> int:
        """A new lead, as one that comes through the API or the user interface."""
        store, at = self._store, self._now()
        lead_id = store.new_id("lead")
        dated = {"id": lead_id, "name": "Nova", "created_at": at, "updated_at": at}
        store.add(LeadRecord({**self._pattern, **dated, **fields}))
        return lead_id

    def update(self, lead_id: int, **fields: Any) -> None:
        """Change a lead; in a list of the last changed it moves to the front."""
        lead = self.leads[lead_id]
        for name, value in fields.items():
            lead[name] = value
        self._store.touch(lead, self._now(), "updated", "Lead atualizado")

    def delete(self, lead_id: int) -> None:
        """Remove a lead, for good."""
        self._store.remove(self.leads[lead_id])
        self.deleted.add(lead_id)

    def at_random(self, luck: Random) -> None:
        """Insert, update or delete something."""
        kind = luck.choice(("insert", "update", "delete", "swap"))
        ids = list(self.leads)
        if kind in {"insert", "swap"} or len(ids) < 3:
            self.insert()
        if kind == "update":
            self.update(luck.choice(ids), name=f"Nome {luck.random()}")
        if kind in {"delete", "swap"} and len(ids) > 2:
            self.delete(luck.choice(ids))

    def _now(self) -> str:
        # Each change later than the one before, so that the order of the last changed is exact.
        if self.now is not None:
            return moment(self.now())
        return moment(datetime(2026, 7, 1, tzinfo=UTC) + timedelta(seconds=self.answered))


class Answering(ChangingSandbox):
    """Leaves out filters that it is told to ignore, and headers that it is told not to send."""

    ignored: frozenset[str] = frozenset()
    # By how many days a filter on dates is taken to be later than it says.
    days_later: Mapping[str, int] = MappingProxyType({})
    undated: int | None = None
    headers_left_out: frozenset[bytes] = frozenset()
    # Lists with this filter say on each page that there is another one.
    promises_more_with: str | None = None

    @property
    def app(self) -> ASGIApp:
        inner = super().app

        async def answering(scope: Scope, receive: Receive, send: Send) -> None:
            query = parse_qs(scope["query_string"].decode())
            kept = {name: value for name, value in query.items() if name not in self.ignored}
            for name in self.days_later.keys() & kept.keys():
                day = date.fromisoformat(kept[name][0]) + timedelta(days=self.days_later[name])
                kept[name] = [day.isoformat()]
            asked = {**scope, "query_string": urlencode(kept, doseq=True).encode()}

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    headers = message["headers"]
                    left = [pair for pair in headers if pair[0] not in self.headers_left_out]
                    message = {**message, "headers": left}
                if self.promises_more_with in query and message["type"] == "http.response.body":
                    more = message["body"].replace(b'"has_more":false', b'"has_more":true ')
                    message = {**message, "body": more}
                await send(message)

            if self.undated is not None:
                # No filter on dates finds a lead that has none.
                at = "9999" if "created_to" in query else "0000"
                at = (
                    at
                    if "created_from" in query or "created_to" in query
                    else "2026-01-01T00:00:00Z"
                )
                self.leads[self.undated]["created_at"] = at
            await inner(asked, receive, sending)

        return answering
