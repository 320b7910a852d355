"""The pause after a 429: closed for a while, then one call alone, then open.

The call that goes alone is the probe. Only its answer opens the gate again. The gate is pure: each
method takes the time. One process and all stores keep it as it is here.
"""

from __future__ import annotations

import msgspec


class PauseGate(msgspec.Struct):
    """What is known of the pause of a key.

    Nothing passes before `closed_until` (s). `half_open`: a 429 has not been followed by the answer
    of a probe yet. `probe`: the name of the probe while it is in flight, else empty.
    """

    closed_until: float = 0.0
    half_open: bool = False
    probe: str = ""

    def available(self, now: float, calls: int = 1) -> int:
        """How many of so many calls may pass together now; one at most while it is half open."""
        if now < self.closed_until or (self.half_open and self.probe):
            return 0
        return min(calls, 1) if self.half_open else calls

    def next_pass_at(self, now: float, place: int, latency: float) -> float:
        """When the call with `place` others before it may pass, an answer taking `latency` (s)."""
        # All calls but the probe wait for its answer.
        waits = self.half_open and (place or self.probe)
        return max(now, self.closed_until) + (latency if waits else 0.0)

    def enter(self, name: str) -> bool:
        """Let a call of that name pass; True when it is the probe."""
        if self.half_open:
            self.probe = name
        return self.half_open

    def leave(self, name: str) -> bool:
        """A call that had passed has ended; True when it was the probe."""
        was_probe = bool(name) and self.probe == name
        if was_probe:
            self.probe = ""
        return was_probe

    def close(self, until: float) -> None:
        """Let nothing pass before `until`."""
        self.closed_until = max(self.closed_until, until)

    def throttle(self, until: float) -> None:
        """A 429 pauses the key until then."""
        self.close(until)
        self.half_open = True

    def open_after_probe(self, now: float) -> None:
        """The probe was answered. A 429 to a call that was sent earlier may have paused again."""
        self.half_open = now < self.closed_until
