"""A server on raw sockets that answers anything, for `fuzz_wire.py`. It knows HTTP, and no client.

Every answer follows from the first step of the path (`/SEED/…`), the rest of the path and the page
that is asked for, so that one seed is one server, which can be asked again. It prints its port.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import re
import sys
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

WORDS = (
    *("success", "data", "meta", "message", "errors", "error", "code", "details", "lead", "leads"),
    *("id", "name", "email", "phone", "value", "tags", "birthday", "created_at", "custom_fields"),
    *("owner", "tasks", "products", "stage", "pipelines", "stages", "lost_reasons", "secret"),
    *("retry_after", "required_permission", "blocked", "pending_tasks", "limit_reached", "raw"),
    *("skip_reason", "created", "subject", "supported_events", "next", "cursor", "statusCode"),
)
TEXTS = (
    *("", "Ana", "Jos\u00e9", "vip", "7", "nan", "1e400", "0000-00-00", "2026-06-30T10:00:00Z"),
    *("2026-06-30", "window_closed", "\u202egnp.exe", "a\nb\r\nc", "\x1b[31mred\x07", "\u2028"),
    *("\ud83d", "\x00\x01", "\U0001f600", "<script>", "%s%n{}", "\ufeff", "CIRCUIT_OPEN"),
)
STATUSES = (
    *(200, 200, 200, 200, 200, 200, 201, 204, 301, 302, 304, 400, 401, 403, 404, 409, 418),
    *(422, 422, 429, 500, 502, 503, 504, 522, 599),
)
HEADERS = (
    *(b"Retry-After: 0", b"Retry-After: 99999999", b"Retry-After: soon", b"Date: never"),
    *(b"Date: Tue, 30 Jun 2026 12:00:30 GMT", b"X-RateLimit-Remaining: -1", b"Location: /\x1b[m"),
    *(b"X-RateLimit-Limit: 60", b"Location: http://[::1", b"Location: //evil.invalid/?k=KEY"),
    *(b"Set-Cookie: a=KEY", b"Content-Type: text/html", b"Content-Type: x/KEY", b"X-A: \xff\xfe"),
    *(b"Connection: close", b"Content-Length: 5", b"Content-Length: 99999", b"Content-Length: -1"),
    *(
        b"Transfer-Encoding: x",
        b"Content-Encoding: br",
        b"Content-Encoding: gzip, gzip",
        b"X" * 200,
    ),
    *(b"Content-Encoding: identity", b"X-A: " + b"y" * 70_000, b"Upgrade: h2c", b":", b"A B: c"),
)


def spelled(key: str, dice: random.Random) -> str:
    """A secret as some software would write it."""
    forms: tuple[Callable[[], str], ...] = (
        lambda: key,
        lambda: "".join(f"\\u{ord(each):04x}" for each in key),
        lambda: "".join(f"%{ord(each):02X}" for each in key),
        lambda: "".join(f"&#{ord(each)};" for each in key),
        lambda: "".join(f"\\x{ord(each):02x}" for each in key),
        lambda: base64.b64encode(b"u:" + key.encode()).decode(),
        lambda: key.encode().hex(),
        key.upper,
        lambda: json.dumps({"k": quote(key.replace("_", "-_-"))}).replace("-_-", "\\u005f"),
        lambda: key[: len(key) // 2 + 4] + "\u2026",
        lambda: key[:10] + "\r\n  " + key[10:],
    )
    return dice.choice(forms)()


class Maker:
    """Makes the parts of one answer."""

    def __init__(self, seed: str, key: str) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - it is to be the same each time
        self.key = key

    def size(self, small: int, large: int, huge: int) -> int:
        """One of the three; the larger, the rarer."""
        return huge if self.chance(40) else large if self.chance(8) else small

    def chance(self, one_in: int) -> bool:
        """True once in so many times."""
        return self.dice.randrange(one_in) == 0

    def text(self) -> str:
        """A text of any kind, now and then with the secret in it."""
        dice = self.dice
        if self.chance(8):
            return f"key {spelled(self.key, dice)} refused"
        if self.chance(40):
            unit = dice.choice(
                ("a", "1", "<", " ", '"', "\\", "a@", "+1", "\u201c", "\n", "token=")
            )
            return unit * self.size(1_000, 100_000, 1_000_000)
        return dice.choice(TEXTS)

    def value(self, depth: int = 0) -> Any:
        """Anything that JSON can say."""
        dice = self.dice
        if depth > 3 or self.chance(2):
            return dice.choice(
                (None, True, False, 0, 7, -1, 10**30, 1.5, "7", self.text(), self.text(), [], {})
            )
        if self.chance(2):
            return [self.value(depth + 1) for _ in range(dice.randrange(4))]
        if self.chance(3):
            return {str(number * 2): self.value(depth + 1) for number in range(dice.randrange(4))}
        return {dice.choice(WORDS): self.value(depth + 1) for _ in range(dice.randrange(5))}

    def record(self, number: int) -> Any:
        """What looks like an item of a list, as a rule."""
        if self.chance(6):
            return self.value()
        fields = {self.dice.choice(WORDS): self.value(2) for _ in range(self.dice.randrange(3))}
        return {"name": f"N{number}", **fields, "id": number}

    def dumped(self, value: Any) -> bytes:
        """JSON, now and then of the kind that no decoder takes."""
        text = json.dumps(value, ensure_ascii=self.chance(2))
        raw = text.encode("utf-8", "surrogatepass")
        if self.chance(12):
            raw = raw.replace(b"N", self.dice.choice((b"\xff", b"\\ud83d", b"\\q", b"\x01")), 2)
        if self.chance(20):
            raw = raw.replace(b"7", self.dice.choice((b"NaN", b"1e400", b"9" * 5_000, b"007")), 1)
        return raw


def lists(maker: Maker, page: int) -> Any:
    """A page of a list that may lie about itself, and otherwise on each page."""
    dice, last = maker.dice, maker.dice.choice((0, 1, 2, 3, 5, 40, 10**9))
    mode = dice.choice(("honest", "empty", "circle", "one", "gaps", "endless"))
    size = dice.choice((0, 1, 2, 200))
    first = {"honest": page, "one": 1, "circle": page % 3, "endless": page}.get(mode, page)
    count = 0 if mode == "empty" or (mode == "gaps" and page % 2) or page > last else size
    data: Any = [maker.record(first * 1_000 + number) for number in range(count)]
    if maker.chance(8):
        data = {str(number * 2): each for number, each in enumerate(data)}
    meta = {
        "total": dice.choice((0, 1, last * size, 10**9)),
        "per_page": dice.choice((size, 0, 1, "many", -5)),
        "current_page": dice.choice((page, page, 1, page - 1, 99)),
        "last_page": dice.choice((last, last, 1, 500)),
        "has_more": dice.choice((None, True, False, page < last)),
    }
    if maker.chance(15):
        meta.pop(dice.choice(list(meta)))
    cursor = dice.choice((None, "", str(page), str(page + dice.randrange(3)), 7))
    return {"success": True, "data": data, "meta": meta, "next": cursor}


def body_of(maker: Maker, path: str, page: int) -> bytes:
    """What an answer says."""
    dice = maker.dice
    kind = dice.randrange(24)
    if kind < 10:
        return maker.dumped(lists(maker, page))
    if kind < 14:
        lead = {
            "success": True,
            "created": True,
            "lead": maker.record(7),
            "pipelines": maker.value(),
        }
        return maker.dumped(lead)
    if kind < 19:
        said = {"message": maker.text(), "code": maker.value(3), "errors": maker.value(1)}
        return maker.dumped(dice.choice((said, {"error": said, "success": False}, maker.value())))
    return odd_body(maker, kind, path)


def odd_body(maker: Maker, kind: int, path: str) -> bytes:
    """A body that is no answer of an API."""
    dice = maker.dice
    match kind:
        case 19:
            body = b"<html>" + maker.text().encode("utf-8", "replace") + path.encode()
        case 20:
            part = dice.choice((b"[],", b"{},", b"0,", b'"",', b'{"id":1},', b'{"":[]},'))
            inside = part * maker.size(10, 20_000, 2_000_000)
            body = b'{"success":true,"data":[%s0],"meta":{"total":1}}' % inside
        case 21:
            deep = dice.choice((50, 150, 2_000, 200_000))
            inner = dice.choice(((b"[", b"]"), (b'{"errors":', b"}")))
            body = b'{"data":[%s0%s],"message":1}' % (inner[0] * deep, inner[1] * deep)
        case 22:
            body = dice.randbytes(dice.choice((0, 1, 50, 5_000)))
        case _:
            body = dice.choice((b" ", b"\xf0\x9f\x98\x80", b"a")) * maker.size(1, 10**6, 17 * 10**6)
    return body


def packed(maker: Maker, body: bytes) -> tuple[bytes, list[bytes]]:
    """The body in some compression, and the headers that say so, truly or not."""
    dice = maker.dice
    if maker.chance(2) and len(body) < 10**7:
        return body, []
    half = len(body) // 2
    raw = zlib.compressobj(wbits=-15)
    forms: tuple[tuple[bytes, Callable[[], bytes]], ...] = (
        (b"gzip", lambda: gzip.compress(body, 1)),
        (b"gzip", lambda: gzip.compress(body[:half], 1) + gzip.compress(body[half:], 1)),
        (b"gzip", lambda: gzip.compress(body, 1) + bytes(99)),
        (b"x-gzip, identity", lambda: gzip.compress(body, 1)),
        (b"gzip, gzip", lambda: gzip.compress(gzip.compress(body, 1), 1)),
        (b"deflate", lambda: zlib.compress(body, 1)),
        (b"deflate", lambda: raw.compress(body) + raw.flush()),
        (b"br", lambda: body[:10_000]),
    )
    name, make = dice.choice(forms)
    content = make()
    if maker.chance(8):
        content = content[: dice.randrange(len(content) + 1)]
    if maker.chance(8):
        content += dice.randbytes(20)
    return content, [b"Content-Encoding: " + name]


def answer_to(request: bytes) -> bytes:
    """The bytes of one answer; one that begins with `!` ends with the connection."""
    line = request.split(b"\r\n", 1)[0].decode("latin-1")
    seed, _, path = line.split(" ")[1].lstrip("/").partition("/")
    asked = re.search(r"[?&](?:page|cursor)=(\d+)", path)
    page = int(asked[1]) if asked else 1
    secret = re.search(rb"(?i)\r\nx-api-key: *([^\r]+)", request)
    key = secret[1].decode("latin-1") if secret else "none"
    method = line.split(" ")[0]
    maker = Maker(f"{seed} {method} {path.partition('?')[0]} {page}", key)
    dice = maker.dice
    if maker.chance(30):
        return b"!" + dice.choice((b"", b"HTTP/1.1 2", b"SSH-2.0-x\r\n\r\n", dice.randbytes(90)))
    body, headers = packed(maker, body_of(maker, path, page))
    headers += [
        dice.choice(HEADERS).replace(b"KEY", spelled(key, dice).encode("utf-8", "replace"))
        for _ in range(dice.choice((0, 0, 0, 1, 2)))
    ]
    headers = [each.replace(b"\r\n", b" ") for each in headers]
    chunked = maker.chance(3)
    if chunked:
        step = max(1, len(body) // dice.choice((1, 2, 9)))
        parts = [body[at : at + step] for at in range(0, len(body), step)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
        body += b"0\r\n\r\n" if not maker.chance(10) else b""
    headers.append(b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body))
    status = dice.choice(STATUSES)
    if maker.chance(20):
        body = body[: dice.randrange(len(body) + 1)]
        return b"!" + b"\r\n".join((b"HTTP/1.1 %d X" % status, *headers, b"", body))
    return b"\r\n".join((b"HTTP/1.1 %d X" % status, *headers, b"", body))


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection."""
    try:
        while True:
            request = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", request)
            await reader.readexactly(int(length[1]) if length else 0)
            answer = answer_to(request)
            writer.write(answer.removeprefix(b"!"))
            await writer.drain()
            if answer.startswith(b"!"):
                return
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass
    finally:
        writer.close()


async def main() -> None:
    """Serve until the process is ended."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
