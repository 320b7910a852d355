"""The form in which a store keeps a state: a line with schema, epoch and version, and the state.

The line can be compared without reading the state. A client of another version finds a schema
that it does not know, and refuses.

Each write has a random stamp, and a state has the stamps of its last writes. So a process can see
whether a state descends from the one that it saw. The number of writes alone does not show it: an
older state that is written again has as many after a while.
"""

from __future__ import annotations

import secrets

import msgspec

from syncro_async.errors import ConfigurationError
from syncro_async.limiting.budget.messages import Seen, SyncResponse
from syncro_async.limiting.budget.state import BudgetState
from syncro_async.limiting.budget.store_time import Moment

# Changes with each change of `BudgetState` that an older client would read wrongly.
_SCHEMA = b"syncro-budget/3"
_END = b"\n"
_STAMP = 4
# So many stamps are kept. A process that is active reads the state at least every `HEARTBEAT`.
_STAMPS = 128

_decode = msgspec.msgpack.Decoder(BudgetState).decode
_encode = msgspec.msgpack.Encoder().encode


def write_state(state: BudgetState) -> bytes:
    """The state as a store keeps it, as a new version."""
    state.version += 1
    state.trail = (state.trail + secrets.token_bytes(_STAMP))[-_STAMP * _STAMPS :]
    head = f" {state.epoch} {state.version} {stamp_of(state, state.version).hex()}".encode()
    return _SCHEMA + head + _END + _encode(state)


def stamp_of(state: BudgetState, version: int) -> bytes:
    """The stamp of the write that made this version of the state; empty when it is not kept."""
    end = len(state.trail) - _STAMP * (state.version - version)
    return state.trail[end - _STAMP : end] if end > 0 else b""


def head_of(stored: bytes) -> bytes:
    """The first line of a stored state, which is another one after each write."""
    return stored[: stored.index(_END) + 1]


def read_state(stored: bytes) -> BudgetState:
    """The state that a store keeps. Raises `ConfigurationError` for that of another version."""
    if stored.startswith(_SCHEMA + b" "):
        try:
            return _decode(stored[stored.index(_END) + 1 :])
        except (ValueError, msgspec.MsgspecError):
            pass
    raise ConfigurationError(
        "the limiter's store holds a budget that another version of syncro_async wrote, or other"
        f" data ({stored[:20]!r}); use the same version in all programs that share the budget, or"
        " name another file or another database for the limiter"
    )


def remember(
    response: SyncResponse, state: BudgetState, stored: bytes, moment: Moment
) -> SyncResponse:
    """The response with what the process sees of the state, for its next request."""
    seen = Seen(
        epoch=state.epoch,
        version=state.version,
        stamp=stamp_of(state, state.version),
        now=state.now,
        alive=list(state.heartbeats),
        state=stored,
        asked_at=moment.asked_at,
        heard_at=moment.heard_at,
    )
    return msgspec.structs.replace(response, seen=seen)
