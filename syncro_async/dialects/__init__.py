"""The services this client can talk to."""

from syncro_async.dialects.dialect import Dialect
from syncro_async.dialects.pagination import Cursor, PageNumbers
from syncro_async.dialects.routemcp import ROUTEMCP
from syncro_async.dialects.syncro import SYNCRO
from syncro_async.dialects.wolfeo import WOLFEO

__all__ = ["ROUTEMCP", "SYNCRO", "WOLFEO", "Cursor", "Dialect", "PageNumbers"]
