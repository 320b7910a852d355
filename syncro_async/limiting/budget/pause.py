"""The pause after a 429: closed for a while, then one call alone, then open."""

from __future__ import annotations

from syncro_async.limiting.protocol import Answered, Slot, SlotOutcome, Throttled


class PauseGate:
    """Closed until a time; then half open until the one call that may pass is answered."""

    __slots__ = ("_half_open", "_probe_in_flight", "closed_until")

    def __init__(self) -> None:
        self.closed_until = 0.0
        self._half_open = False
        self._probe_in_flight = False

    def available(self, now: float, calls: int = 1) -> int:
        """How many of that many calls may pass together; when half open, one at a time may."""
        if not self._half_open:
            return calls
        return min(calls, int(now >= self.closed_until and not self._probe_in_flight))

    def next_pass_at(self, now: float, place: int, latency: float) -> float:
        """When the call with `place` others before it may pass, an answer taking `latency`."""
        if not self._half_open:
            return now
        # All calls but the probe wait for its answer.
        probe = latency if place or self._probe_in_flight else 0.0
        return max(now, self.closed_until) + probe

    @property
    def is_half_open(self) -> bool:
        """Whether a 429 has not been followed by the answer of a probe yet."""
        return self._half_open

    def is_open_for(self, slot: Slot) -> bool:
        """Whether a call that has passed may go on: its slot came with the gate as it is now."""
        return slot.is_probe or not self._half_open

    def enter(self, slot: Slot) -> None:
        """Let a call pass; the first one after a pause is the probe."""
        if self._half_open:
            slot.is_probe = self._probe_in_flight = True

    def settle(self, slot: Slot, outcome: SlotOutcome, now: float) -> None:
        """Record the outcome of a call. Only the answer to the probe opens the gate again."""
        if slot.is_probe:
            self._probe_in_flight = False
        if isinstance(outcome, Throttled):
            self.closed_until = max(self.closed_until, now + outcome.pause)
            self._half_open = True
        elif slot.is_probe and isinstance(outcome, Answered):
            # A 429 to a call sent before the pause may have closed it again meanwhile.
            self._half_open = now < self.closed_until
