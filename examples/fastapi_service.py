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
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import BackgroundTasks, FastAPI, Query
from pydantic import BaseModel, Field

from syncro_async import AsyncClient, SyncroError, lane
from syncro_async.integrations.fastapi import (
    StructResponse,
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


def make_app(**client_options: Any) -> FastAPI:
    """The service; `client_options` are for tests and for other plans."""
    settings = settings_from_environment()
    options = {"max_wait": settings.max_wait, **client_options}
    app = FastAPI(title="Leads", lifespan=syncro_lifespan(**options))
    add_error_handlers(app)

    @app.get("/leads")
    async def list_leads(
        syncro: Syncro, tag: Text | None = None, limit: Limit = 20
    ) -> StructResponse:
        tags = [] if tag is None else [tag]
        return StructResponse(await syncro.leads.list(tags=tags, max_items=limit).collect())

    @app.get("/leads/{lead_id}")
    async def read_lead(lead_id: int, syncro: Syncro) -> StructResponse:
        return StructResponse(await syncro.leads.get(lead_id, include=["owner"]))

    @app.post("/leads")
    async def create_lead(new: NewLead, syncro: Syncro) -> StructResponse:
        lead = await syncro.leads.create(
            **new.model_dump(exclude_none=True),
            pipeline_id=settings.pipeline_id,
            stage_id=settings.stage_id,
        )
        return StructResponse(lead, status_code=201)

    @app.post("/retaggings", status_code=202)
    async def retag(wanted: Retagging, syncro: Syncro, background: BackgroundTasks) -> Retagging:
        background.add_task(tag_all, syncro, wanted)
        return wanted

    @app.get("/health")
    async def health(syncro: Syncro) -> StructResponse:
        return StructResponse({"status": "ok", "budget": await syncro.refresh_budget()})

    return app


async def tag_all(syncro: AsyncClient, wanted: Retagging) -> None:
    """Execute a retagging in the bulk lane, so that requests of visitors go first."""
    client = syncro.with_options(max_wait=None)
    try:
        with lane("bulk"):
            for lead in await client.leads.list(tags=[wanted.having]).collect():
                await client.leads.add_tags(lead.id, [wanted.add])
    except SyncroError:  # the response is sent already, so the log is the only place
        logger.exception("retagging %r did not finish", wanted.having)


app = make_app()
