"""Wolfeo and RouteMCP, answering as their references say, with a count of their own."""

from __future__ import annotations

from typing import Any

from tests.transport.scripted_app import KEY, Answer, Asked

# What no reference names; the tests choose it, as users have to.
CURSOR, NEXT = "after", "page.next"


class Counter:
    """Counts requests over the last so many seconds, for every limit at once."""

    def __init__(self, *limits: tuple[int, float]) -> None:
        self.limits = limits
        self.counted: list[float] = []
        self.refused = 0

    def in_the_last(self, seconds: float, now: float) -> int:
        return sum(1 for at in self.counted if at > now - seconds)

    def lets(self, now: float) -> bool:
        if any(self.in_the_last(seconds, now) >= calls for calls, seconds in self.limits):
            self.refused += 1
            return False
        self.counted.append(now)
        return True


class Wolfeo:
    """Contacts in numbered pages; 600 requests a minute and 10 a second; bare 429s."""

    def __init__(self, contacts: int = 0) -> None:
        self.contacts = [
            {"id": n, "email": f"c{n}@example.com", "email_marketing": True, "GDPR": False}
            for n in range(1, contacts + 1)
        ]
        self.count = Counter((600, 60.0), (10, 1.0))

    async def __call__(self, asked: Asked) -> Answer:
        await asked.clock.sleep(0.05)
        if asked.headers.get("authorization") != f"Bearer {KEY}":
            return self.no(401, "UNAUTHORIZED", "Invalid API key")
        if not self.count.lets(asked.at):
            return Answer(429, {"message": "Too Many Attempts."})
        if asked.path != "/contacts":
            return self.no(404, "NOT_FOUND", "No such resource")
        size, page = int(asked.query.get("per_page", 50)), int(asked.query.get("page", 1))
        if not 1 <= size <= 100:
            wrong = ["The per page must be between 1 and 100."]
            return self.no(422, "VALIDATION_ERROR", "The given data was invalid", per_page=wrong)
        meta = {
            "current_page": page,
            "last_page": max(1, -(-len(self.contacts) // size)),
            "per_page": size,
            "total": len(self.contacts),
        }
        data = self.contacts[(page - 1) * size : page * size]
        return Answer(200, {"success": True, "data": data, "meta": meta})

    @staticmethod
    def no(status: int, code: str, message: str, **details: list[str]) -> Answer:
        error: dict[str, Any] = {"code": code, "message": message}
        return Answer(
            status,
            {"success": False, "error": error | ({"details": details} if details else {})},
        )


class RouteMCP:
    """Contacts of an end user's provider, by cursor; so many requests a minute as the plan says."""

    def __init__(self, contacts: int = 0, calls_a_minute: int = 100) -> None:
        self.contacts = [{"id": f"c{n}", "name": f"Contact {n}"} for n in range(1, contacts + 1)]
        self.count = Counter((calls_a_minute, 60.0))
        self.end_users: list[str | None] = []

    async def __call__(self, asked: Asked) -> Answer:
        await asked.clock.sleep(0.05)
        allowed = self.count.lets(asked.at)
        limit = self.count.limits[0][0]
        left = limit - self.count.in_the_last(60.0, asked.at)
        reset = int(asked.clock.wall() + 60)
        headers = (
            ("x-ratelimit-limit", str(limit)),
            ("x-ratelimit-remaining", str(left)),
            ("x-ratelimit-reset", str(reset)),
        )
        if not allowed:
            waits = max(0.0, self.count.counted[-limit] + 60.0 - asked.at)
            return Answer(429, self.no(429), (*headers, ("retry-after", str(int(waits) + 1))))
        if "provider" not in asked.query:
            body = self.no(400, "MISSING_PROVIDER", "Query parameter ?provider is required")
            return Answer(400, body, headers)
        self.end_users.append(asked.headers.get("x-end-user-id"))
        return Answer(200, self.page(asked.query), headers)

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        begin, size = int(query.get(CURSOR, "0")), int(query.get("limit", "10"))
        end = begin + size
        more = str(end) if end < len(self.contacts) else None
        said = {"success": True, "statusCode": 200, "message": "OK"}
        return said | {"data": self.contacts[begin:end], "page": {"next": more}}

    @staticmethod
    def no(status: int, code: str | None = None, message: str = "Too Many Requests") -> Any:
        said = {"success": False, "statusCode": status, "message": message}
        return said if code is None else {**said, "code": code}
