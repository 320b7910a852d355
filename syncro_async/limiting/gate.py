"""The pause after a 429: closed for a while, then one call alone, then open."""

from __future__ import annotations

from syncro_async.limiting.limiter import Answered, Fate, Refused, Slot


class Gate:
    """Closed until a moment; half open until the one call let through is answered."""

    __slots__ = ("_half_open", "_opener_out", "closed_until")

    def __init__(self) -> None:
        self.closed_until = 0.0
        self._half_open = False
        self._opener_out = False

    def lets_through(self, now: float, calls: int = 1) -> int:
        """How many of that many calls may pass together; when half open, one at a time may."""
        if not self._half_open:
            return calls
        return min(calls, int(now >= self.closed_until and not self._opener_out))

    def passes_at(self, now: float, place: int, latency: float) -> float:
        """When the call with `place` others before it may pass, an answer taking `latency`."""
        if not self._half_open:
            return now
        # All but the opener wait for its answer, wherever in the queue they stand.
        opener = latency if place or self._opener_out else 0.0
        return max(now, self.closed_until) + opener

    @property
    def is_half_open(self) -> bool:
        """Whether a refusal has not been followed by an opener's answer yet."""
        return self._half_open

    def is_open_for(self, slot: Slot) -> bool:
        """Whether a call that has passed may go on: its slot came with the gate as it is now."""
        return slot.opener or not self._half_open

    def pass_through(self, slot: Slot) -> None:
        """A call passes; the first behind a closed gate is its opener."""
        if self._half_open:
            slot.opener = self._opener_out = True

    def settle(self, slot: Slot, fate: Fate, now: float) -> None:
        """Learn from a call's fate. Only the opener's answer opens the gate again."""
        if slot.opener:
            self._opener_out = False
        if isinstance(fate, Refused):
            self.closed_until = max(self.closed_until, now + fate.pause)
            self._half_open = True
        elif slot.opener and isinstance(fate, Answered):
            # A 429 to a call sent before the pause may have closed it again meanwhile.
            self._half_open = now < self.closed_until
