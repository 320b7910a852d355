"""Writes the arguments that an error names as the options of the command."""

from __future__ import annotations

from syncro_async.errors import SyncroError

_SAME_NAME = (
    *("base_url", "limiter", "table", "force", "allow_sales", "report", "journal", "failures"),
    *("page_size", "max_items", "include", "q", "status", "source", "pipeline_id", "stage_id"),
    *("assigned_to", "updated_since", "created_from", "created_to", "bom", "delimiter", "decimal"),
    *("encoding", "locale", "header_row", "on_bad_row", "match_by", "canary", "max_failures"),
    *("server_time_limit", "max_outage", "format", "verify", "at_once", "lane"),
)
OPTIONS = {
    **{name: f"--{name.replace('_', '-')}" for name in _SAME_NAME},
    "tags": "--tag",
    "tags_mode": "--tags",
    "columns": "--column",
    "defaults": "--set",
    "rows": "FILE",
    "destination": "FILE",
    "database": "DB",
    "rate_limit": "SYNCRO_RATE_LIMIT",
}
"""The option, operand or variable of the command for each argument of the library."""
_NO_OPTION = frozenset({"api_key", "definitions"})
# The name alone, and what a flag has in Python.
_WITHOUT_VALUE = frozenset({"True", None})


def reason_of(error: BaseException) -> str:
    """The text of an error, with its arguments as options of the command."""
    if not (isinstance(error, SyncroError) and error.parts):
        return str(error)
    return "".join(part if isinstance(part, str) else _option(*part) for part in error.parts)


def _option(argument: str, value: str | None, lead: str) -> str:
    """An argument as the command writes it; `lead` is the text in front of it."""
    if argument in _NO_OPTION:
        return ""
    # `tags[1]` is the second of the tags.
    option = OPTIONS.get(argument.partition("[")[0])
    if option is None:
        return f"{lead}{argument}" if value is None else f"{lead}{argument}={value}"
    return f"{lead}{option}" if value in _WITHOUT_VALUE else f"{lead}{option} {value}"
