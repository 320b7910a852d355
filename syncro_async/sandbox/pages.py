"""The pages of a list (API reference, 'Errors and limits', Pagination)."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncro_async.sandbox.validation import Form

_USUAL_SIZE = 50
_LARGEST_SIZE = 200


def page_asked(form: Form) -> tuple[int, int]:
    """Which page is wanted, counted from 1, and how many items it is to hold."""
    return form.size("page", 1), form.size("per_page", _USUAL_SIZE, most=_LARGEST_SIZE)


def page_meta(total: int, page: int, per_page: int) -> dict[str, Any]:
    """What is said of a page of `total` items in all."""
    last_page = max(1, ceil(total / per_page))
    return {
        "total": total,
        "per_page": per_page,
        "current_page": page,
        "last_page": last_page,
        "has_more": page < last_page,
    }
