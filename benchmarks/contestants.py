"""Other clients, each set up as its own documentation recommends, and all asked in the same words.

What a service has in its client that this one lacks is translated by the least that does it: an
answer's outer object is taken off by hand, and pages are asked for by number. A limiter that a
peer has gets the same limit; a peer without one runs without.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec

from benchmarks.harness import NO_BUDGET, there
from syncro_async import AsyncClient, Lead, RateLimit
from syncro_async.sandbox import FULL_KEY

PAGE = 200
DISTRIBUTIONS = (
    "aiolimiter",
    "tenacity",
    "aioamocrm",
    "aiometer",
    "GitHubKit",
    "hishel",
    "openai",
    "httpx2",
    "dlt",
    "pydantic",
    "httpx-aiohttp",
    "aiohttp",
)


@dataclass(frozen=True)
class Job:
    """Where to ask, and how often one may: `calls` in `seconds`, as often as one likes without.

    `share`: the part of it that is this process's, for those who divide it by hand. `limiter` is
    where this package keeps a budget that processes share.
    """

    host: str
    calls: int | None = None
    seconds: float = 60.0
    share: int = 1
    limiter: str | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.host}/api/v1"


class Contestant:
    """A client at work; a context manager that opens it."""

    NAME = ""
    NEEDS: tuple[str, ...] = ()
    # What its limiter and its retries are, as they come.
    ABOUT = ""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stack = AsyncExitStack()

    async def __aenter__(self) -> Any:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.aclose()

    async def open(self) -> None:
        """Make the client."""

    async def get(self, number: int) -> Any:
        """Fetch one lead; raises when it cannot be had."""
        raise NotImplementedError

    async def lost(self, numbers: Sequence[int]) -> int:
        """Fetch all these at once, as this client likes it best; how many could not be had."""
        ends = await asyncio.gather(*map(self.get, numbers), return_exceptions=True)
        return sum(isinstance(end, BaseException) for end in ends)

    def leads(self) -> AsyncIterator[Any]:
        """Stream all leads."""
        raise NotImplementedError

    async def ids(self) -> set[int]:
        """The ids of all leads, as a list gives them."""
        return {lead.id async for lead in self.leads()}


class Ours(Contestant):
    """This package."""

    NAME = "syncro_async"
    ABOUT = "its own limiter, shared by processes in SQLite; 4 attempts, 429s not counted"

    def transport(self) -> Any:
        """The one it comes with."""
        return None

    async def open(self) -> None:
        """Make the client."""
        job = self.job
        rate = NO_BUDGET if job.calls is None else RateLimit(job.calls, job.seconds)
        client = AsyncClient(
            FULL_KEY,
            base_url=job.url,
            rate_limit=rate,
            limiter=job.limiter,
            transport=self.transport(),
        )
        self.client = await self.stack.enter_async_context(client)
        # Not a method of its own around it: that would be measured too.
        setattr(self, "get", self.client.leads.get)  # noqa: B010 - it has more arguments than `get`

    def leads(self) -> AsyncIterator[Lead]:
        """Stream all leads."""
        return aiter(self.client.leads.list(page_size=PAGE))

    async def exported(self) -> set[int]:
        """The ids of all leads, as an export has them; none where there are no exports."""
        bulk = getattr(self.client, "bulk", None)
        if bulk is None:
            return set()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "leads.jsonl")
            await bulk.export_leads(file)
            return ids_in(file)


def ids_in(file: Path) -> set[int]:
    """The ids in an export."""
    return {msgspec.json.decode(line)["id"] for line in file.read_bytes().splitlines()}


class OursOverAiohttp(Ours):
    """This package with the extra `aiohttp`."""

    NAME = "syncro_async over httpx-aiohttp"
    NEEDS = ("httpx_aiohttp",)

    def transport(self) -> Any:
        """The one of the extra."""
        from httpx_aiohttp import AiohttpTransport

        return AiohttpTransport()


class Answer(msgspec.Struct):
    """The answer to `GET /leads/{id}`."""

    lead: Lead


class Listing(msgspec.Struct):
    """The answer to `GET /leads`."""

    data: list[Lead]
    meta: dict[str, Any]


class ByHand(Contestant):
    """What one writes oneself: httpx, aiolimiter around each attempt, tenacity around that."""

    NAME = "httpx + tenacity + aiolimiter"
    NEEDS = ("tenacity",)
    ABOUT = "AsyncLimiter(60, W); 7 attempts, random exponential wait"

    async def open(self) -> None:
        """Make the client."""
        from aiolimiter import AsyncLimiter
        from tenacity import (
            retry,
            retry_if_exception_type,
            stop_after_attempt,
            wait_random_exponential,
        )

        job = self.job
        client = httpx.AsyncClient(base_url=job.url, headers={"X-API-Key": FULL_KEY}, timeout=60.0)
        self.client = await self.stack.enter_async_context(client)
        self.limiter = (
            AsyncLimiter(1_000_000, 1.0)
            if job.calls is None
            else AsyncLimiter(self.rate(), job.seconds)
        )
        self.read = msgspec.json.Decoder(Answer, strict=False).decode
        self.read_page = msgspec.json.Decoder(Listing, strict=False).decode
        self.fetch = retry(
            retry=retry_if_exception_type(httpx.HTTPError),
            wait=wait_random_exponential(multiplier=1, max=60),
            stop=stop_after_attempt(7),
            reraise=True,
        )(self.attempt)

    def rate(self) -> float:
        """The whole limit, as if there were no other process."""
        return float(self.job.calls or 0)

    async def attempt(self, path: str, **query: int) -> bytes:
        """Ask once."""
        async with self.limiter:
            answer = await self.client.get(path, params=query or None)
        return answer.raise_for_status().content

    async def get(self, number: int) -> Lead:
        """Fetch one lead."""
        return self.read(await self.fetch(f"/leads/{number}")).lead

    async def leads(self) -> AsyncIterator[Lead]:
        """Page by page."""
        number, more = 1, True
        while more:
            page = self.read_page(await self.fetch("/leads", page=number, per_page=PAGE))
            for lead in page.data:
                yield lead
            more = page.meta["has_more"]
            number += 1


class ByHandDivided(ByHand):
    """The same, each process with its share of the limit."""

    NAME = "httpx + tenacity + aiolimiter, a share each"
    ABOUT = "AsyncLimiter(60 / processes, W)"

    def rate(self) -> float:
        """Its share."""
        return super().rate() / self.job.share


class AioAmoCrm(Contestant):
    """The client of another CRM, of the same build."""

    NAME = "aioamocrm"
    NEEDS = ("aioamocrm",)
    ABOUT = "rate_limit=60 / W, one every so often; 4 attempts, Retry-After"

    async def open(self) -> None:
        """Make the client."""
        from aioamocrm import AmoCRMClient, LongLivedToken

        job = self.job
        client = AmoCRMClient(
            base_url=job.host,
            auth=LongLivedToken("token"),
            rate_limit=None if job.calls is None else job.calls / job.seconds,
        )
        self.client = await self.stack.enter_async_context(client)
        setattr(self, "get", self.client.leads.get)  # noqa: B010 - as above
        logging.getLogger("aioamocrm").setLevel(logging.ERROR)  # each 429 is a warning

    def leads(self) -> AsyncIterator[Any]:
        """Stream all leads."""
        return aiter(self.client.leads.iterate(limit=PAGE))


def lead_fields() -> dict[str, Any]:
    """The fields of a lead as a pydantic model."""
    texts = ["name", "phone", "email", "company", "birthday", "source", "notes", "created_at"]
    texts += [f"utm_{what}" for what in ("source", "medium", "campaign", "term", "content")]
    fields: dict[str, Any] = dict.fromkeys(texts, (str | None, None))
    fields |= dict.fromkeys(("pipeline_id", "stage_id"), (int | None, None))
    fields |= dict.fromkeys(("stage", "pipeline"), (dict[str, Any] | None, None))
    return fields | {
        "id": (int, ...),
        "value": (float | None, None),
        "tags": (list[str] | None, None),
        "custom_fields": (dict[str, Any] | None, None),
    }


class OpenAiCore(Contestant):
    """The core of a generated client, openai's: over aiohttp, as it says for many calls."""

    NAME = "openai's generated core"
    NEEDS = ("openai", "aiohttp")
    ABOUT = "no limiter; 3 attempts, Retry-After"

    async def open(self) -> None:
        """Make the client."""
        import pydantic
        from openai import AsyncOpenAI, BaseModel, DefaultAioHttpClient
        from openai._base_client import (
            BaseAsyncPage,
            BasePage,
            PageInfo,
        )

        lead = pydantic.create_model("Lead", __base__=BaseModel, **lead_fields())

        class LeadPage(BaseAsyncPage[lead], BasePage[lead]):  # type: ignore[misc]
            data: list[lead]  # type: ignore[valid-type]
            meta: dict[str, Any]

            def _get_page_items(self) -> list[Any]:
                return self.data

            def next_page_info(self) -> Any:
                if not self.meta["has_more"]:
                    return None
                return PageInfo(params={"page": self.meta["current_page"] + 1})

        self.lead, self.page = lead, LeadPage
        self.answer = pydantic.create_model("Answer", __base__=BaseModel, lead=(lead, ...))
        client = AsyncOpenAI(
            api_key="key", base_url=self.job.url, http_client=DefaultAioHttpClient()
        )
        self.client = await self.stack.enter_async_context(client)

    async def get(self, number: int) -> Any:
        """Fetch one lead."""
        return (await self.client.get(f"/leads/{number}", cast_to=self.answer)).lead

    def leads(self) -> AsyncIterator[Any]:
        """Stream all leads."""
        options = {"params": {"page": 1, "per_page": PAGE}}
        return aiter(
            self.client.get_api_list("/leads", model=self.lead, page=self.page, options=options)
        )


class GitHubKit(Contestant):
    """The client of another service, as large as they get."""

    NAME = "githubkit"
    NEEDS = ("githubkit",)
    ABOUT = "no limiter but 100 at once; a second attempt after a 429, Retry-After"

    async def open(self) -> None:
        """Make the client."""
        import pydantic
        from githubkit import GitHub

        # Each 429 it retries is a warning with a traceback.
        logging.getLogger("githubkit").setLevel(logging.ERROR)
        lead = pydantic.create_model("Lead", **lead_fields())
        self.answer = pydantic.create_model("Answer", lead=(lead, ...))
        self.listing = pydantic.create_model("Listing", data=(list[lead], ...))  # type: ignore[valid-type]
        client = GitHub("token", base_url=f"{self.job.host}/linked/v1", timeout=60.0)
        self.client = await self.stack.enter_async_context(client)

    async def get(self, number: int) -> Any:
        """Fetch one lead."""
        answer = await self.client.arequest("GET", f"leads/{number}", response_model=self.answer)
        return answer.parsed_data.lead

    def leads(self) -> AsyncIterator[Any]:
        """Stream all leads."""

        async def first_page() -> Any:
            return await self.client.arequest(
                "GET", "leads", params={"per_page": PAGE}, response_model=self.listing
            )

        return aiter(
            self.client.rest.paginate(first_page, map_func=lambda page: page.parsed_data.data)
        )


class AioMeter(Contestant):
    """Httpx, with a scheduler that spreads the calls."""

    NAME = "httpx + aiometer"
    NEEDS = ("aiometer",)
    ABOUT = "max_per_second=60 / W, max_at_once=20; no retries"

    async def open(self) -> None:
        """Make the client."""
        client = httpx.AsyncClient(
            base_url=self.job.url, headers={"X-API-Key": FULL_KEY}, timeout=60.0
        )
        self.client = await self.stack.enter_async_context(client)
        self.read = msgspec.json.Decoder(Answer, strict=False).decode

    async def get(self, number: int) -> Lead:
        """Fetch one lead."""
        answer = await self.client.get(f"/leads/{number}")
        return self.read(answer.raise_for_status().content).lead

    async def lost(self, numbers: Sequence[int]) -> int:
        """Let it spread the calls; an answer of any kind is an end."""
        import aiometer

        asked = [partial(self.client.get, f"/leads/{number}") for number in numbers]
        rate = {"max_per_second": self.job.calls / self.job.seconds} if self.job.calls else {}
        answers = await aiometer.run_all(asked, max_at_once=20, **rate)
        return sum(answer.is_error for answer in answers)


class Dlt(Contestant):
    """A loader's client, which asks one after the other and blocks."""

    NAME = "dlt's RESTClient"
    NEEDS = ("dlt",)
    ABOUT = "no limiter, one call at a time; 5 attempts, Retry-After"

    async def open(self) -> None:
        """Make the client."""
        from dlt.sources.helpers.rest_client import RESTClient
        from dlt.sources.helpers.rest_client.paginators import (
            PageNumberPaginator,
        )

        self.client = RESTClient(
            base_url=self.job.url,
            headers={"X-API-Key": FULL_KEY},
            paginator=PageNumberPaginator(base_page=1, total_path="meta.last_page"),
            data_selector="data",
        )

    async def get(self, number: int) -> Any:
        """Fetch one lead."""
        answer = self.client.get(f"leads/{number}")
        answer.raise_for_status()
        return answer.json()["lead"]

    async def leads(self) -> AsyncIterator[Any]:
        """Page by page; its leads are plain objects."""
        for page in self.pages():
            for lead in page:
                yield lead

    def pages(self) -> Iterator[list[dict[str, Any]]]:
        """As it gives them."""
        yield from self.client.paginate("leads", params={"per_page": PAGE})

    async def ids(self) -> set[int]:
        """The ids of all leads."""
        return {lead["id"] async for lead in self.leads()}


ALL: dict[str, type[Contestant]] = {
    kind.NAME: kind
    for kind in (
        Ours,
        OursOverAiohttp,
        ByHand,
        ByHandDivided,
        AioAmoCrm,
        AioMeter,
        GitHubKit,
        OpenAiCore,
        Dlt,
    )
}


def usable() -> list[str]:
    """Those whose packages are installed here."""
    return [name for name, kind in ALL.items() if there(*kind.NEEDS)]


def but(*left_out: type[Contestant]) -> list[str]:
    """The usable ones, without those for which a question makes no sense."""
    return [name for name in usable() if ALL[name] not in left_out]
