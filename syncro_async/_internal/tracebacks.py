"""The short traceback of an error in IPython: the frames of the caller, and the message."""

from __future__ import annotations

import copy
import sys
import traceback
from types import TracebackType
from typing import Any

_OURS = "syncro_async"
# Before our first frame only these are hidden, because they run the cell.
_SHELL = frozenset({"IPython", "ipykernel"})
# Behind it also these, which run our tasks.
_MACHINERY = _SHELL | {_OURS, "aiolimiter", "anyio", "asyncio", "contextlib", "httpcore", "httpx"}


def short_traceback(error: BaseException) -> list[str]:
    """The traceback of an error in the shell's own form, without frames of this package.

    `error`: the error. IPython asks for it by `_render_traceback_`. The causes are one line each,
    because their frames are those of a library, and may hold the key.
    """
    frames = _frames_of_caller(error.__traceback__)
    shell = _shell()
    # A copy has no cause, whose traceback would be shown as well.
    bare = copy.copy(error).with_traceback(None)
    if shell is None:
        lines = traceback.format_exception(type(error), bare, frames)
    else:
        lines = shell.InteractiveTB.structured_traceback(type(error), bare, frames, tb_offset=0)
    cause = error.__cause__
    return lines if cause is None else [*lines, f"Cause: {type(cause).__name__}: {cause}"]


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _frames_of_caller(trace: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    hidden = _SHELL
    while trace is not None:
        root = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if root == _OURS:
            hidden = _MACHINERY
        if root not in hidden:
            kept.append(trace)
        trace = trace.tb_next
    chain: TracebackType | None = None
    for one in reversed(kept):
        chain = TracebackType(chain, one.tb_frame, one.tb_lasti, one.tb_lineno)
    return chain
