"""How near an export came to the fastest its budget allows."""

from __future__ import annotations

from dataclasses import dataclass

from syncro_async import RateLimit
from syncro_async.events import AnswerReceived, Event, RequestSent

_REFUSED = 429


@dataclass(slots=True)
class Tally:
    """An observer that counts what went out and what came back (monotonic seconds)."""

    requests: int = 0
    answers: int = 0
    refused: int = 0
    latency: float = 0.0
    first_sent_at: float | None = None
    last_answer_at: float | None = None

    def __call__(self, event: Event) -> None:
        """Take one event of the client."""
        if isinstance(event, RequestSent):
            self.requests += 1
            if self.first_sent_at is None:
                self.first_sent_at = event.at
        elif isinstance(event, AnswerReceived):
            self.answers += 1
            self.refused += event.status == _REFUSED
            self.latency += event.latency
            self.last_answer_at = event.at

    @property
    def elapsed(self) -> float:
        """Seconds from the first send to the headers of the last answer; 0 before both."""
        if self.first_sent_at is None or self.last_answer_at is None:
            return 0.0
        return self.last_answer_at - self.first_sent_at

    @property
    def mean_latency(self) -> float:
        """Seconds from a send to the headers of its answer, on average; 0 before any."""
        return self.latency / self.answers if self.answers else 0.0


def share_of_bound(tally: Tally, rate: RateLimit) -> float | None:
    """The time the budget makes unavoidable over the time it took; 1.0 cannot be beaten.

    A slot returns `seconds + guard` after the answer it paid for, so n requests need at least
    floor((n - 1) / calls) such rounds of seconds + guard + mean latency. None when everything
    fits the first round: then the budget bounds nothing.
    """
    rounds = (tally.requests - 1) // rate.calls
    if rounds < 1 or tally.elapsed <= 0.0:
        return None
    return rounds * (rate.seconds + rate.guard + tally.mean_latency) / tally.elapsed
