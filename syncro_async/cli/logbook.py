"""Keeps the client's log off stderr, or brings it there with --debug."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logbook(*, debug: bool) -> Iterator[None]:
    """While the block runs the client's log goes to stderr (`debug`) or to nobody.

    Without a handler logging prints warnings by itself, and Ctrl-C would end in one for every
    request that was on its way.
    """
    logger = logging.getLogger("syncro_async")
    handler = logging.StreamHandler() if debug else logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    if debug:
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
