"""Loads the libraries of extras, for those who use them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from syncro_async.errors import ConfigurationError


def load_extra(module: str, extra: str, subject: str) -> Any:
    """Import a library. Raises `ConfigurationError`, which names the extra, where it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f'{subject} needs its extra: pip install "syncro-async[{extra}]"'
        ) from error
