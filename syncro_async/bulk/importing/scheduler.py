"""Hands out the rows of an import: in order, a lead's rows one after the other, intent first."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, NamedTuple, cast

from syncro_async.bulk.importing.journal import (
    Journal,
    QueuedRow,
    mark_sending,
    revert_unsent,
    rows_after,
    rows_at,
)
from syncro_async.clock import Clock
from syncro_async.transport.messages import SendStats

# Rows whose intent is written in one go. More would be in doubt after a crash, fewer are slower.
_AT_ONCE = 10
# Rows that are known to wait for another one. A file about one single lead must fit, too.
_MOST_HELD = 1000


class _InProgress(NamedTuple):
    """A row at work: whose task it is, and what has been sent for it."""

    row: QueuedRow
    task: asyncio.Task[Any]
    tally: SendStats


class RowScheduler:
    """The rows of one run.

    First come those that were never sent, in their order; at the end those in doubt, which an
    earlier run left. A row waits for every earlier row of its lead. The first `canary` rows go
    alone: nothing follows before all of them are through and `on_canary` has been told.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        doubts: Sequence[int],
        *,
        canary: int,
        on_canary: Callable[[], object],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._canary = canary or None
        self._on_canary = on_canary
        self._last_seen = -1
        self._all_seen = False
        self._doubts = deque(doubts)
        self._ready: deque[int] = deque()
        # Every row that was looked at and is not through, and every one in doubt.
        self._unsettled = set(doubts)
        self._waits_for: dict[int, set[int]] = {}
        self._holds_up: defaultdict[int, list[int]] = defaultdict(list)
        self._all_loaded: set[int] = set()
        self._in_progress: dict[int, _InProgress] = {}
        self._changed = asyncio.Event()
        self.stopped = False

    async def rows(self) -> AsyncGenerator[QueuedRow, None]:
        """The rows, each when its turn has come."""
        while not self._has_stopped():
            if self._canary == 0 and not self._all_loaded:
                self._canary = None
                self._on_canary()
                continue
            seen = () if self._must_wait() else await self._load_ready()
            for row in await self._grant(seen):
                if self._has_stopped():
                    return
                yield row
            if not seen:
                if not self._unsettled:
                    return
                await self._changed.wait()
                self._changed.clear()

    def begin(self, row: QueuedRow, tally: SendStats) -> None:
        """The running task has taken that row."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._in_progress[row.idx] = _InProgress(row, task, tally)

    def end(self, row: QueuedRow) -> None:
        """Nothing more will be done for that row in this run."""
        self._in_progress.pop(row.idx, None)
        self._all_loaded.discard(row.idx)
        self._unsettled.discard(row.idx)
        for idx in self._holds_up.pop(row.idx, ()):
            self._waits_for[idx].discard(row.idx)
            if not self._waits_for[idx]:
                del self._waits_for[idx]
                self._ready.append(idx)
        self._changed.set()

    def stop(self) -> None:
        """Hand out no more rows, and call away those that still wait to be sent."""
        self.stopped = True
        self._changed.set()
        for row, task, tally in tuple(self._in_progress.values()):
            unsent = tally.sent == 0 and row.state == "pending"
            if unsent and task is not asyncio.current_task():
                task.cancel()

    async def revert_unsent(self) -> None:
        """Write which rows were meant to be sent and were not, and which may have been."""
        sent = [row.idx for row, _, tally in self._in_progress.values() if tally.sent]
        await self._journal.run(lambda db: revert_unsent(db, sent))

    def _has_stopped(self) -> bool:
        return self.stopped

    def _must_wait(self) -> bool:
        return self._canary == 0 or (len(self._waits_for) > _MOST_HELD and not self._ready)

    async def _load_ready(self) -> Sequence[QueuedRow]:
        """Some rows to be handed out next, if nothing holds them up."""
        limit = _AT_ONCE if self._canary is None else min(_AT_ONCE, self._canary)
        if not self._ready and not self._all_seen:
            last = self._last_seen
            rows = await self._journal.run(lambda db: rows_after(db, last, limit))
            if rows:
                self._last_seen = rows[-1].idx
                return rows
            self._all_seen = True
        source = self._ready or self._doubts
        places = [source.popleft() for _ in range(min(limit, len(source)))]
        return await self._journal.run(lambda db: rows_at(db, places)) if places else ()

    async def _grant(self, seen: Sequence[QueuedRow]) -> Sequence[QueuedRow]:
        """Those of the rows whose turn it is, their intent written."""
        rows = [row for row in seen if not self._is_held_up(row)]
        if not rows:
            return rows
        if self._canary is not None:
            self._canary -= len(rows)
        now = self._clock.wall()
        places = [row.idx for row in rows]
        self._all_loaded.update(places)
        await self._journal.run(lambda db: mark_sending(db, places, now))
        return [row if row.sent_at else row._replace(sent_at=now) for row in rows]

    def _is_held_up(self, row: QueuedRow) -> bool:
        """Whether a row of the same lead has to be through first; then this one is kept."""
        earlier = {idx for idx in (row.after_a, row.after_b) if idx is not None}
        before = earlier & self._unsettled
        self._unsettled.add(row.idx)
        for idx in before:
            self._holds_up[idx].append(row.idx)
        if before:
            self._waits_for[row.idx] = before
        return bool(before)
