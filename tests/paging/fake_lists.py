"""Lists of numbers that a script hands out in pages, and paginators over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import TypeVar

from syncro_async import Page, PageMeta
from syncro_async.paging.paginator import Paginator
from tests.transport.scripted_app import Answer, App, Asked, Step, page_of

T = TypeVar("T")


def pages_by(make: Callable[[int], Page[int]]) -> tuple[Paginator[int], list[int]]:
    """A paginator over what `make` gives for a page number, and the numbers it asked for."""
    asked: list[int] = []

    async def fetch(number: int, size: int | None = None, /) -> Page[int]:
        asked.append(number)
        await asyncio.sleep(0)
        return make(number)

    return Paginator(fetch), asked


async def keep(items: AsyncIterable[T], kept: list[T]) -> None:
    """Read to the end; what came before an error stays."""
    async for item in items:
        kept.append(item)  # noqa: PERF401 - a comprehension would lose what came before an error


def page(
    items: list[int], number: int, last: int, *, has_more: bool | None = None, total: int = 0
) -> Page[int]:
    return Page(items, PageMeta(total, len(items), number, last, has_more))


def list_app(total: int, *, first: Step | None = None) -> App:
    """An application with so many leads, numbered from 1, that keeps to `page` and `per_page`."""

    async def step(asked: Asked) -> Answer:
        size, number = int(asked.query["per_page"]), int(asked.query["page"])
        start = (number - 1) * size
        leads = [{"id": n + 1} for n in range(start, min(total, start + size))]
        last = max(1, -(-total // size))
        return Answer(200, page_of(leads, number=number, last=last, total=total, per_page=size))

    return App(*([first] if first else []), step)
