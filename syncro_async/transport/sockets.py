"""Cuts a forked child off from the connections of its parent, which notices nothing of it."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

from syncro_async.forking import tell_of_forks


class NetworkStream(Protocol):
    """The part of httpcore's network streams that is used here."""

    def get_extra_info(self, info: str, /) -> _Numbered | None:
        """What the stream knows of itself; `"socket"` is the socket it goes over."""


class _Numbered(Protocol):
    def fileno(self) -> int: ...


class OpenSockets:
    """The connections of one pool, for as long as it keeps them."""

    def __init__(self) -> None:
        self._streams: WeakSet[NetworkStream] = WeakSet()
        tell_of_forks(self)

    def add(self, stream: NetworkStream) -> None:
        """A connection was opened."""
        self._streams.add(stream)

    def start_anew(self) -> None:
        """Point the child's copy of every socket at nothing.

        Closing them properly would say goodbye on connections that are the parent's; keeping them
        would hold those open when the parent closes them.
        """
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in list(self._streams):
            socket = stream.get_extra_info("socket")
            if socket is not None and socket.fileno() >= 0:
                os.dup2(nowhere, socket.fileno(), inheritable=False)
        os.close(nowhere)
        self._streams.clear()
