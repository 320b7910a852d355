"""A number as it is counted with: what arrives as the text `nan` or `inf` is none."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec

Amount = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
