"""Schedules the rows of an import: in order, and one row of a lead at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, NamedTuple, cast

from syncro_async.bulk.importing.journal import Journal, QueuedRow
from syncro_async.bulk.importing.row_states import (
    mark_sending,
    revert_unsent,
    rows_after,
    rows_at,
)
from syncro_async.transport.messages import SendStats

# Rows that one transaction marks as being sent. After a crash all of them have an unknown outcome;
# a smaller batch is slower.
_BATCH = 10
# Bounds the memory for blocked rows: every row of a file can be about the same lead.
_MAX_BLOCKED = 1000
# One reading decides about all lost rows, and each reading takes a while: it pays to collect them.
_MAX_LOST = 200


class _InProgress(NamedTuple):
    """A row that is being processed, its task, and the count of its attempts."""

    row: QueuedRow
    task: asyncio.Task[Any]
    stats: SendStats


class RowScheduler:
    """Schedules one pass over the pending rows.

    Rows come in their order, but a row waits for every earlier row of its lead. Rows whose answer
    was lost (`unknown` before the pass, or `end(…, lost=True)`) hold up the later rows of their
    leads until the end of the pass. The pass ends when no row can be sent before lost rows are
    decided, when too many of them have come together, or after `limit` rows.
    """

    def __init__(
        self, journal: Journal, unknown: Iterable[int] = (), *, limit: int | None = None
    ) -> None:
        self._journal = journal
        self._left = limit
        self._last_loaded = -1
        self._exhausted = False
        self._lost = set(unknown)
        self._ready: deque[int] = deque()
        # All rows that were loaded or are lost, and have no outcome yet.
        self._open = set(self._lost)
        self._blocked_by: dict[int, set[int]] = {}
        self._blocks: defaultdict[int, list[int]] = defaultdict(list)
        self._granted: set[int] = set()
        self._in_progress: dict[int, _InProgress] = {}
        self._changed = asyncio.Event()
        self.stopped = False

    async def rows(self) -> AsyncGenerator[QueuedRow, None]:
        """Yield each row as soon as it may be sent."""
        while not self._has_stopped():
            loaded = () if self._must_wait() else await self._load_ready()
            for row in await self._grant(loaded):
                if self._has_stopped():
                    return
                yield row
            if not loaded:
                if not self._granted:
                    return
                await self._changed.wait()
                self._changed.clear()

    def begin(self, row: QueuedRow, stats: SendStats) -> None:
        """Register the running task as the one that processes the row."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._in_progress[row.idx] = _InProgress(row, task, stats)

    def end(self, row: QueuedRow, *, lost: bool = False) -> None:
        """Release the row: this pass does nothing more with it.

        `lost`: its answer was lost, and the later rows of its lead cannot be sent yet.
        """
        self._in_progress.pop(row.idx, None)
        self._granted.discard(row.idx)
        if lost:
            self._lost.add(row.idx)
        else:
            self._open.discard(row.idx)
            self._release(row.idx)
        self._changed.set()

    def _release(self, done: int) -> None:
        for idx in self._blocks.pop(done, ()):
            self._blocked_by[idx].discard(done)
            if not self._blocked_by[idx]:
                del self._blocked_by[idx]
                self._ready.append(idx)

    def stop(self) -> None:
        """Yield no more rows, and cancel the tasks of rows that were not sent yet."""
        self.stopped = True
        self._changed.set()
        for _, task, stats in tuple(self._in_progress.values()):
            if stats.sent == 0 and task is not asyncio.current_task():
                task.cancel()

    async def revert_unsent(self) -> None:
        """Mark the rows that were not sent as pending, and the others as unknown."""
        sent = [row.idx for row, _, stats in self._in_progress.values() if stats.sent]
        await self._journal.run(lambda db: revert_unsent(db, sent))

    def _has_stopped(self) -> bool:
        return self.stopped

    def _must_wait(self) -> bool:
        if self._left == 0 or len(self._lost) >= _MAX_LOST:
            return True
        return len(self._blocked_by) > _MAX_BLOCKED and not self._ready

    async def _load_ready(self) -> Sequence[QueuedRow]:
        """Load the next rows; some of them may still be blocked."""
        limit = _BATCH if self._left is None else min(_BATCH, self._left)
        if not self._ready and not self._exhausted:
            last = self._last_loaded
            rows = await self._journal.run(lambda db: rows_after(db, last, limit))
            if rows:
                self._last_loaded = rows[-1].idx
                return rows
            self._exhausted = True
        indexes = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
        return await self._journal.run(lambda db: rows_at(db, indexes)) if indexes else ()

    async def _grant(self, loaded: Sequence[QueuedRow]) -> Sequence[QueuedRow]:
        """Mark the rows that are not blocked as being sent, and return them."""
        rows = [row for row in loaded if not self._is_blocked(row)]
        if not rows:
            return rows
        if self._left is not None:
            self._left -= len(rows)
        indexes = [row.idx for row in rows]
        self._granted.update(indexes)
        await self._journal.run(lambda db: mark_sending(db, indexes))
        return [row._replace(sends=row.sends + 1) for row in rows]

    def _is_blocked(self, row: QueuedRow) -> bool:
        """Return whether an earlier row of the same lead has no outcome; if so, keep this row."""
        earlier = {idx for idx in (row.after_a, row.after_b) if idx is not None}
        before = earlier & self._open
        self._open.add(row.idx)
        for idx in before:
            self._blocks[idx].append(row.idx)
        if before:
            self._blocked_by[row.idx] = before
        return bool(before)
