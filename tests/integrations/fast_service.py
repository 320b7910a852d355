"""The example service, for a sandbox whose minute is a second."""

from __future__ import annotations

from examples.fastapi_service import make_app
from syncro_async import RateLimit

LIMIT = 60
WINDOW = 1.0

app = make_app(rate_limit=RateLimit(LIMIT, WINDOW))
