"""Finds the pipeline of a client with a fixed key."""

from __future__ import annotations

from syncro_async import AsyncClient
from syncro_async.transport.pipeline import Pipeline


def pipeline_of(client: AsyncClient) -> Pipeline:
    """The pipeline of a client whose key does not change."""
    assert isinstance(client._pipeline, Pipeline)
    return client._pipeline
