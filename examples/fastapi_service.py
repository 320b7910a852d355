"""A web service in front of Syncro: four workers, one key, one budget.

    pip install "syncro-async[fastapi]" uvicorn
    export SYNCRO_API_KEY=crm_…
    export SYNCRO_LIMITER=sqlite:///srv/leads/syncro-budget.db
    uvicorn examples.fastapi_service:app --workers 4

Without a key: run `syncro sandbox`, and set SYNCRO_BASE_URL=http://127.0.0.1:8000/api/v1,
SYNCRO_API_KEY=crm_sandbox_full and uvicorn's `--port 8080`.

The client reads its own settings (SYNCRO_API_KEY, SYNCRO_BASE_URL, SYNCRO_LIMITER). The service's
are LEADS_MAX_WAIT, the longest wait for budget in seconds before a 503 (10), and LEADS_PIPELINE and
LEADS_STAGE, the ids of pipeline and stage for new leads (1 and 4).
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import BackgroundTasks, FastAPI, HTTPException, Query
from pydantic import BaseModel, Field

from syncro_async import AsyncClient, Budget, Failed, Lead, Progress, SyncroError
from syncro_async.integrations.fastapi import (
    ERROR_RESPONSES,
    SyncroDep,
    add_error_handlers,
    syncro_lifespan,
)

logger = logging.getLogger("leads_service")

Syncro = Annotated[AsyncClient, SyncroDep]
Limit = Annotated[int, Query(ge=1, le=200)]
# The client does not accept a blank text; FastAPI answers it with a 422.
Text = Annotated[str, Field(pattern=r"\S")]


@dataclass(frozen=True)
class Settings:
    """The settings of the service."""

    max_wait: float
    pipeline_id: int
    stage_id: int


def settings_from_environment() -> Settings:
    """The settings of this process. Raises `ValueError` for a value that is not a number."""
    return Settings(
        max_wait=float(os.environ.get("LEADS_MAX_WAIT", "10")),
        pipeline_id=int(os.environ.get("LEADS_PIPELINE", "1")),
        stage_id=int(os.environ.get("LEADS_STAGE", "4")),
    )


class NewLead(BaseModel):
    """The body of a request that creates a lead."""

    name: Text
    email: str | None = None
    phone: str | None = None
    tags: list[Text] = []


class Retagging(BaseModel):
    """Add the tag `add` to every lead with the tag `having`."""

    having: Text
    add: Text


class RetaggingState(Retagging):
    """How far a retagging is. `progress` is missing until its first lead is done."""

    id: str
    state: Literal["running", "done", "failed"] = "running"
    progress: Progress | None = None
    failed: int = 0


class Missing(BaseModel):
    """FastAPI's body for an `HTTPException`."""

    detail: str


class Health(BaseModel):
    """Whether the service runs, and what is left of the key's budget."""

    status: Literal["ok"] = "ok"
    budget: Budget


@dataclass
class Retaggings:
    """The retaggings of this process; with several workers, keep them in a database."""

    states: dict[str, RetaggingState] = field(default_factory=dict)

    def start(self, wanted: Retagging) -> RetaggingState:
        """Record a new retagging."""
        state = RetaggingState(id=uuid4().hex, having=wanted.having, add=wanted.add)
        self.states[state.id] = state
        return state


def make_app(**client_options: Any) -> FastAPI:
    """The service; `client_options` are for tests and for other plans."""
    settings = settings_from_environment()
    options = {"max_wait": settings.max_wait, **client_options}
    app = FastAPI(title="Leads", lifespan=syncro_lifespan(**options), responses=ERROR_RESPONSES)
    add_error_handlers(app)
    add_lead_routes(app, settings)
    add_retagging_routes(app)

    @app.get("/health")
    async def health(syncro: Syncro) -> Health:
        return Health(budget=await syncro.refresh_budget())

    return app


def add_lead_routes(app: FastAPI, settings: Settings) -> None:
    """List, read and create leads."""

    @app.get("/leads")
    async def list_leads(syncro: Syncro, tag: Text | None = None, limit: Limit = 20) -> list[Lead]:
        tags = [] if tag is None else [tag]
        return await syncro.leads.list(tags=tags, max_items=limit).collect()

    @app.get("/leads/{lead_id}")
    async def read_lead(lead_id: int, syncro: Syncro) -> Lead:
        return await syncro.leads.get(lead_id, include=["owner"])

    @app.post("/leads", status_code=201)
    async def create_lead(new: NewLead, syncro: Syncro) -> Lead:
        return await syncro.leads.create(
            name=new.name,
            email=new.email,
            phone=new.phone,
            tags=new.tags,
            pipeline_id=settings.pipeline_id,
            stage_id=settings.stage_id,
        )


def add_retagging_routes(app: FastAPI) -> None:
    """Start a retagging in the background, and ask how far it is."""
    retaggings = Retaggings()

    @app.post("/retaggings", status_code=202)
    async def retag(
        wanted: Retagging, syncro: Syncro, background: BackgroundTasks
    ) -> RetaggingState:
        state = retaggings.start(wanted)
        background.add_task(tag_all, syncro, state)
        return state

    @app.get("/retaggings/{retagging_id}", responses={404: {"model": Missing}})
    async def read_retagging(retagging_id: str) -> RetaggingState:
        if retagging_id not in retaggings.states:
            raise HTTPException(404, "This process has no such retagging.")
        return retaggings.states[retagging_id]


async def tag_all(syncro: AsyncClient, wanted: RetaggingState) -> None:
    """Execute a retagging, and record its progress in `wanted`.

    It uses the bulk lane: requests of visitors go first, and while there are visitors, the client
    sends the calls of this lane evenly over the minute.
    """
    client = syncro.with_options(lane="bulk", max_wait=None)

    def report(progress: Progress) -> None:
        wanted.progress = progress

    async def add_tag(lead: Lead) -> None:
        await client.leads.add_tags(lead.id, [wanted.add])

    try:
        leads = await client.leads.list(tags=[wanted.having]).collect()
        async with client.bulk.map(add_tag, leads, concurrency=1, on_progress=report) as outcomes:
            async for outcome in outcomes:
                if isinstance(outcome, Failed):
                    wanted.failed += 1
                    logger.warning("lead %d was not tagged: %s", outcome.item.id, outcome.error)
        wanted.state = "done"
    except SyncroError:  # the response is sent already, so the log is the only place
        wanted.state = "failed"
        logger.exception("retagging %r did not finish", wanted.having)


app = make_app()
