"""A JSON map from a server written in PHP, which writes an empty one as `[]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

if TYPE_CHECKING:
    Map = dict[str, Any]
else:
    Map = dict[str, Any] | Annotated[list[Any], msgspec.Meta(max_length=0)]
