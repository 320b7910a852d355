"""The example service, for a sandbox whose minute is a second."""

from __future__ import annotations

from examples.fastapi_service import make_app
from syncro_async import RateLimit

WINDOW = 1.0

app = make_app(rate_limit=RateLimit(60, WINDOW))
