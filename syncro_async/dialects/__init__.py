"""The services this client can talk to."""

from syncro_async.dialects.dialect import Dialect
from syncro_async.dialects.syncro import SYNCRO

__all__ = ["SYNCRO", "Dialect"]
