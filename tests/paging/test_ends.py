"""Lists of servers that lie about their pages: they end, lose no lead, and are not called complete.

Each is read in four ways over a socket: page by page, fetched ahead, as an export and as a sync.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncro_async import Lead, Page, PageMeta
from syncro_async.dialects.pagination import Cursor
from syncro_async.paging.pages import MOST_IDLE_PAGES
from tests.paging.fake_lists import pages_by
from tests.paging.raw_lists import RawList, body_of, client_of_list

# What a server does with page `number`: the ids on it, and what `meta` says.
Serve = Callable[[int], tuple[list[int], Mapping[str, Any]]]


def honest(number: int, last: int, **meta: Any) -> dict[str, Any]:
    return {
        "current_page": number,
        "last_page": last,
        "per_page": 1,
        "total": last,
        "has_more": number < last,
        **meta,
    }


def by_page(pages: Mapping[int, list[int]], total: int, **wrong: Any) -> Serve:
    """A list of pages of one lead, of which `last` is as many as the server counts."""

    def serve(number: int) -> tuple[list[int], Mapping[str, Any]]:
        return pages.get(number, []), honest(number, max(pages), total=total, **wrong)

    return serve


FIVE = {number: [number] for number in range(1, 6)}

# Servers that show all they have; the leads that come of it; whether an export may say so.
LOSSLESS: dict[str, tuple[Serve, list[int], bool]] = {
    "an empty page in the middle": (by_page({**FIVE, 3: []}, 5), [1, 2, 4, 5], False),
    "an empty page in front": (by_page({**FIVE, 1: []}, 5), [2, 3, 4, 5], False),
    "three empty pages in a row": (
        by_page({1: [1], 2: [], 3: [], 4: [], 5: [5]}, 5),
        [1, 5],
        False,
    ),
    "an empty page that only has_more helps over": (
        lambda number: (
            {**FIVE, 2: []}.get(number, []),
            honest(number, 1, total=5, has_more=number < 5),
        ),
        [1, 3, 4, 5],
        False,
    ),
    "an echo that is always 1": (by_page(FIVE, 5, current_page=1), [1, 2, 3, 4, 5], True),
    "an echo that counts from 0": (
        lambda number: ([number], honest(number, 5, current_page=number - 1)),
        [1, 2, 3, 4, 5],
        True,
    ),
    "an echo that runs ahead": (by_page(FIVE, 5, current_page=99), [1, 2, 3, 4, 5], True),
    "one page shown twice in the middle": (
        by_page({1: [1], 2: [2], 3: [2], 4: [4], 5: [5]}, 5),
        [1, 2, 4, 5],
        False,
    ),
    "a has_more that is wrongly false": (by_page(FIVE, 5, has_more=False), [1, 2, 3, 4, 5], True),
    "a last page that is too small": (
        lambda number: ([number], honest(number, 1, total=5, has_more=number < 5)),
        [1, 2, 3, 4, 5],
        True,
    ),
}
# Servers that promise more without end; the leads, and how many pages are asked for at most.
ENDLESS: dict[str, tuple[Serve, list[int], int]] = {
    "the same page for every number": (
        lambda number: ([1, 2], honest(1, 500, total=999)),
        [1, 2],
        5,
    ),
    "pages in a circle": (
        lambda number: ([number % 3], honest(number, 500, total=500, has_more=True)),
        [0, 1, 2],
        8,
    ),
    "a circle that has_more promises": (
        lambda number: ([number % 3], honest(number, 1, total=1, has_more=True)),
        [0, 1, 2],
        8,
    ),
    "empty pages for ever": (
        lambda number: ([], honest(number, 10**6, total=30, has_more=True)),
        [],
        31,
    ),
    "an empty page behind all that is counted": (
        by_page({1: [1], 2: [2]}, 2, last_page=500, has_more=True),
        [1, 2],
        3,
    ),
    "a page of the first ones behind the last": (
        lambda number: ([min(number, 3)], honest(min(number, 3), 3, has_more=True)),
        [1, 2, 3],
        6,
    ),
}


def served_by(serve: Serve) -> RawList:
    def answer(number: int) -> bytes:
        ids, meta = serve(number)
        return body_of([b'{"id":%d}' % each for each in ids], **meta)

    return RawList(answer)


@pytest.mark.parametrize("name", LOSSLESS)
async def test_no_lead_is_lost(name: str, tmp_path: Path) -> None:
    serve, ids, provable = LOSSLESS[name]
    async with client_of_list(served_by(serve)) as client:
        leads = client.leads.list(page_size=1)
        assert [lead.id for lead in await leads.collect()] == ids
        async with leads.prefetch(3) as ahead:
            assert [lead.id async for lead in ahead] == ids
        first = await leads.first()
        assert first is not None
        assert first.id == ids[0]
        receipt = await client.bulk.export_leads(tmp_path / "leads.jsonl", page_size=1)
        assert (receipt.written, receipt.complete) == (len(ids), provable), receipt.reason
        synced = await client.bulk.sync_leads(tmp_path / "leads.db", page_size=1)
        assert (synced.inserted, synced.complete) == (len(ids), provable)


@pytest.mark.parametrize("name", ENDLESS)
async def test_it_ends_and_is_not_called_complete(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    serve, ids, most = ENDLESS[name]
    served = served_by(serve)
    async with client_of_list(served) as client:
        leads = client.leads.list(page_size=1)
        assert sorted(lead.id for lead in await leads.collect()) == ids
        assert len(served.asked) <= most
        assert "although the server says that it has more" in caplog.text
        async with leads.prefetch(3) as ahead:
            assert sorted([lead.id async for lead in ahead]) == ids
        receipt = await client.bulk.export_leads(tmp_path / "leads.jsonl", page_size=1)
        assert (receipt.written, receipt.complete) == (len(ids), False)
        assert "the server says that the list has more pages" in (receipt.reason or "")
        synced = await client.bulk.sync_leads(tmp_path / "leads.db", page_size=1)
        assert (synced.inserted, synced.complete) == (len(ids), False)


async def test_a_page_that_cannot_be_read_is_known_again() -> None:
    served = RawList(lambda number: body_of([b'{"id":"x"}'], total=1, has_more=True))
    async with client_of_list(served) as client:
        assert await client.leads.list().collect() == []
        assert len(served.asked) == 2
        async with client.leads.list().prefetch() as ahead:
            assert [lead async for lead in ahead] == []


async def test_a_list_without_end_of_what_the_server_does_not_count_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    for items in (True, False):
        meta = PageMeta(1, 1, 1, 1, has_more=True)
        paginator, asked = pages_by(
            lambda number, items=items, meta=meta: Page(  # type: ignore[misc]
                [number] if items else [], meta, next_cursor=None if items else str(number)
            )
        )
        assert len(await paginator.collect()) == (MOST_IDLE_PAGES + 2 if items else 0)
        assert MOST_IDLE_PAGES < len(asked) <= MOST_IDLE_PAGES + 2


async def test_cursors_that_bring_nothing_new_end() -> None:
    body = b'{"data":[{"id":1},{"id":2}],"next":"%d"}'
    served = RawList(lambda _: body % len(served.asked))
    async with client_of_list(served) as client:
        paging = Cursor(query="cursor", field="next")
        leads = await client.paginate("/leads", item=Lead, paging=paging).collect()
    assert [lead.id for lead in leads] == [1, 2]
    assert len(served.asked) == 4


class Word(msgspec.Struct):
    """An item whose id may be missing."""

    text: str
    id: int | None = None


async def test_items_without_an_id_are_known_by_all_that_is_in_them() -> None:
    words = {1: "a", 2: "b", 3: "b"}
    served = RawList(
        lambda number: body_of(
            [b'{"text":"%s"}' % words[number].encode()], current_page=number, last_page=3
        )
    )
    async with client_of_list(served) as client:
        found = await client.paginate("/words", item=Word).collect()
    assert [word.text for word in found] == ["a", "b"]
