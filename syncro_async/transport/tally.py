"""Counts what was sent, and how long its answers took."""

from __future__ import annotations

import msgspec


class Tally(msgspec.Struct, eq=False):
    """A count of attempts; what it counts, the tally it is a part of (`whole`) counts too."""

    whole: Tally | None = None
    sent: int = 0
    answered: int = 0
    seconds: float = 0.0

    def send(self) -> None:
        """An attempt goes to the wire."""
        self.sent += 1
        if self.whole is not None:
            self.whole.send()

    def answer(self, latency: float) -> None:
        """The headers of an answer came, `latency` seconds after its attempt was sent."""
        self.answered += 1
        self.seconds += latency
        if self.whole is not None:
            self.whole.answer(latency)

    @property
    def mean_latency(self) -> float | None:
        """Seconds from a send to the headers of its answer, on average; None before any."""
        return self.seconds / self.answered if self.answered else None
