"""Makes of a body a line that may stand in a log: short, and without what nobody should read."""

from __future__ import annotations

import re

from syncro_async.transport.api_key import ApiKey

# How many bytes of a body are looked at, and how many characters of them are shown.
READ = 4096
_SHOWN = 500
_HIDDEN = "***"

# A name that promises a secret, or a person's address, and the value after it: quoted, or up to
# the next thing that ends a value. Quotes may be escaped: a trace often quotes JSON in JSON.
_NAMED = re.compile(
    r"""
    (\b[\w-]{0,32}(?:authori[sz]ation|api[-_ ]?key|token|secret|passw(?:or)?d|senha|cookie
        |signature|e-?mail|phone|telefone)[\w-]{0,8}[\\"']{0,3}\s{0,3}[:=]>?\s{0,3})
    (?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?
        |[\\"']{0,3}(?:(?:bearer|basic|digest|token)\s+)?[^\s,;&<>"'\\}\]]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_SCHEME = re.compile(r"\b(bearer|basic|digest)\s+[\w.~+/=-]{6,}", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_PHONE = re.compile(r"\+\d[\d ().-]{6,18}\d")


def presentable(body: bytes, key: ApiKey) -> str:
    """The beginning of a body in one line.

    Masked are the key and its pieces, values whose names promise a secret, what stands behind
    an authentication scheme, and addresses of people: emails and phones with their `+`.
    """
    text = key.mask_pieces(body[:READ].decode("utf-8", "replace"))
    text = _NAMED.sub(rf"\1{_HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {_HIDDEN}", text)
    text = _PHONE.sub(_HIDDEN, _EMAIL.sub(_HIDDEN, text))
    # A line break in the log would look like a record of its own.
    line = "".join(each if each.isprintable() else "\ufffd" for each in " ".join(text.split()))
    if not line:
        return "(no body)"
    whole = len(line) <= _SHOWN and len(body) <= READ
    return line if whole else f"{line[:_SHOWN]}… ({len(body)} bytes in all)"
