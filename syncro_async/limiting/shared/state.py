"""The budget of one key as several processes share it: what a visit to it does.

A process visits the store (SQLite, Redis) with what happened to its calls and who waits, and
leaves with the slots it was given and with what it needs to know when to come again. Everything
here is arithmetic on a state that the store locks, loads and saves around it: no clock, no wait,
no I/O. The files in `lua/` say the same in Redis's language; one test leads both through the same
histories.

The rule is that of `slots`: a slot is taken from the send until W + guard after the answer. A
waiter may go when more slots are free than others wait before it: nobody waits for a process that
is late to come, and nobody's turn is taken. Two things are added because processes die. A waiting
place lapses when its owner was not seen for `OWNER_LAPSES`; a slot on the wire whose owner died
comes back one request timeout, one window and one guard after it was taken.

A visit whose answer was lost may be told again, also late, also merged into the next one: what
is known already changes nothing, and every answer names all the slots that the visitor has.

A store may forget everything (a server that restarts, a file that is deleted). A state therefore
has an epoch, and a visitor says which one it knows; one who knows another holds everybody up for
`AMNESIA`, long enough for all to come and tell again what they have sent.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator

import msgspec

from syncro_async.limiting.foreign import Share, lowered, one_fewer, regrown
from syncro_async.limiting.limiter import LATE_ARRIVAL
from syncro_async.limiting.queue import INTERACTIVE_IN_A_ROW
from syncro_async.limiting.shared.visits import Limit, Ruling, Settled, Visit, other_limits

# A process with calls in the queue or on the wire comes at least this often (s).
HEARTBEAT = 0.5
OWNER_LAPSES = 2.0
# How long nobody may send after the store has forgotten everything (s).
AMNESIA = 2 * HEARTBEAT


class Place(msgspec.Struct, array_like=True, frozen=True):
    """Somebody in the queue."""

    ticket: str
    owner: str
    first: bool


class Flying(msgspec.Struct, array_like=True, frozen=True):
    """A slot on the wire; `lapses_at` counts once its owner has died.

    `mark` + `KeyState.booked` is how many of the slots that may have been counted by now could be
    counted in this one's window: those taken when it was given, and those booked since.
    """

    owner: str
    lapses_at: float
    mark: int


class KeyState(msgspec.Struct):
    """Everything that is shared about one key.

    `now` is its own time: it follows `clock`, what the store's clock showed last, and stands
    still when that jumps back. `answered` is by ticket, so that nothing counts twice. `in_a_row`
    is how many interactive calls went since bulk had its turn; calls that go before their turn
    comes, their owners being early, count for when it comes, so it may be any number.
    """

    limits: list[Limit]
    epoch: str
    clock: float
    now: float
    born: float
    answered: dict[str, float] = {}
    flying: dict[str, Flying] = {}
    interactive: list[Place] = []
    bulk: list[Place] = []
    seen: dict[str, float] = {}
    closed_until: float = 0.0
    half_open: bool = False
    opener: str = ""
    in_a_row: int = 0
    booked: int = 0
    share: Share | None = None


def state_for(state: KeyState | None, visit: Visit, clock: float) -> KeyState:
    """The state to attend the visit on: what the store has, or a new one.

    Raises `ConfigurationError` when it was made with other limits and is in use.
    """
    if state is None:
        return KeyState(limits=visit.limits, epoch=visit.name, clock=clock, now=clock, born=clock)
    if state.limits != visit.limits:
        _advance(state, clock)
        _forget(state)
        if state.answered or state.flying or state.interactive or state.bulk:
            raise other_limits(state.limits)
        state.limits, state.share = visit.limits, None
    return state


def attend(state: KeyState, visit: Visit, clock: float) -> Ruling:
    """Let a process tell its news, give it the slots that are its turn, and answer it.

    `clock` is what the store's clock shows (s).
    """
    _advance(state, clock)
    state.seen[visit.owner] = state.now
    _forget(state)
    _remember(state, visit)
    for settled in visit.settled:
        _settle(state, settled)
    _join(state, visit)
    _leave(state, visit.leaves)
    _grant(state, visit)
    return Ruling(
        epoch=state.epoch,
        granted=[ticket for ticket, slot in state.flying.items() if slot.owner == visit.owner],
        places={
            place.ticket: before
            for before, (place, _) in enumerate(_in_order(state))
            if place.owner == visit.owner
        },
        free_in=[_free_in(state, limit) for limit in state.limits],
        limits=[_calls(state, limit) for limit in state.limits],
        flying=len(state.flying),
        waiting=len(state.interactive) + len(state.bulk),
        waiting_bulk=len(state.bulk),
        gate_closed_for=max(0.0, state.closed_until - state.now),
        half_open=state.half_open,
        opener=state.opener,
    )


def _advance(state: KeyState, clock: float) -> None:
    state.now += max(0.0, clock - state.clock)
    state.clock = clock


def _forget(state: KeyState) -> None:
    """Drop what no longer counts: old answers, dead owners' places, their overdue slots."""
    oldest = state.now - _longest(state).hold
    state.answered = {ticket: at for ticket, at in state.answered.items() if at > oldest}
    since = state.now - OWNER_LAPSES
    alive = state.seen = {owner: at for owner, at in state.seen.items() if at > since}
    if state.opener and state.flying[state.opener].owner not in alive:
        state.opener = ""
    state.flying = {
        ticket: slot
        for ticket, slot in state.flying.items()
        if slot.owner in alive or slot.lapses_at > state.now
    }
    _keep(state, lambda place: place.owner in alive)
    longest = _longest(state)
    state.share = regrown(state.share, longest.calls, longest.hold, state.now)


def _remember(state: KeyState, visit: Visit) -> None:
    """Take up what a visitor knows and the store has forgotten."""
    if visit.epoch not in {"", state.epoch}:
        state.closed_until = max(state.closed_until, state.now + AMNESIA)
    for ticket in visit.flies:
        if ticket not in state.flying and ticket not in state.answered:
            state.flying[ticket] = _flying(state, visit)


def _settle(state: KeyState, settled: Settled) -> None:
    opened = state.opener == settled.ticket
    slot = _land(state, settled.ticket)
    if settled.fate == "answered":
        _count(state, settled.ticket, state.now - settled.seconds)
        if slot is not None:
            _count_strangers(state, settled, slot.mark + state.booked)
        if opened:
            # A 429 to a call sent before the pause may have closed the gate again meanwhile.
            state.half_open = state.now < state.closed_until
        return
    if settled.fate == "lost":
        _count(state, settled.ticket, state.now - settled.seconds + LATE_ARRIVAL)
        return
    if slot is not None and not opened:
        _note_uncounted(state)
    if settled.fate == "refused":
        _refuse(state, settled.seconds)


def _note_uncounted(state: KeyState) -> None:
    """A slot was given for nothing; in a pause that says how much the server let through."""
    if state.half_open:
        state.share = one_fewer(state.share)


def _count(state: KeyState, ticket: str, at: float) -> None:
    state.answered.setdefault(ticket, at)


def _count_strangers(state: KeyState, settled: Settled, ours: int) -> None:
    """Book as many slots as the server must have counted for somebody else."""
    if settled.left < 0:
        return
    strangers = _calls(state, _longest(state)) - settled.left - ours
    for number in range(strangers):
        state.booked += 1
        _count(state, f"{settled.ticket}/{number}", state.now - settled.seconds)


def _refuse(state: KeyState, pause: float) -> None:
    again = state.half_open
    state.closed_until = max(state.closed_until, state.now + pause)
    state.half_open = True
    limit = _longest(state)
    # In its first window the state does not know what was sent before.
    if not again and state.now - state.born > limit.hold:
        through, until = _taken(state, limit), state.closed_until
        state.share = lowered(state.share, limit.calls, limit.hold, through, until=until)


def _land(state: KeyState, ticket: str) -> Flying | None:
    """Take a slot off the wire; the opener's end lets another call try the gate."""
    if state.opener == ticket:
        state.opener = ""
    return state.flying.pop(ticket, None)


def _join(state: KeyState, visit: Visit) -> None:
    known = {place.ticket for place in [*state.interactive, *state.bulk]}
    for join in visit.joins:
        if join.ticket in state.flying:
            # It was given its slot unheard, so it will be sent only now.
            state.flying[join.ticket] = _flying(state, visit)
        elif join.ticket not in known:
            known.add(join.ticket)
            lane = state.bulk if join.bulk else state.interactive
            end = sum(place.first for place in lane) if join.first else len(lane)
            lane.insert(end, Place(join.ticket, visit.owner, join.first))


def _leave(state: KeyState, tickets: list[str]) -> None:
    for ticket in tickets:
        opened = state.opener == ticket
        if _land(state, ticket) is not None and not opened:
            _note_uncounted(state)
    _keep_without(state, tickets)


def _keep_without(state: KeyState, gone: Container[str]) -> None:
    _keep(state, lambda place: place.ticket not in gone)


def _keep(state: KeyState, stays: Callable[[Place], bool]) -> None:
    """Let the others out of the queue.

    What the lanes owe each other is kept as far as it changes the order of those who wait: turns
    count against bulk, and for it, while somebody waits who gains by it.
    """
    state.interactive = [place for place in state.interactive if stays(place)]
    state.bulk = [place for place in state.bulk if stays(place)]
    least = min(0, INTERACTIVE_IN_A_ROW - len(state.interactive))
    most = INTERACTIVE_IN_A_ROW * len(state.bulk)
    state.in_a_row = min(max(state.in_a_row, least), most)


def _in_order(state: KeyState) -> Iterator[tuple[Place, bool]]:
    """The queue as it will be served, with whether a place is in the bulk lane."""
    interactive, bulk, in_a_row = state.interactive, state.bulk, state.in_a_row
    i = b = 0
    while i < len(interactive) or b < len(bulk):
        bulks_turn = i == len(interactive) or in_a_row >= INTERACTIVE_IN_A_ROW
        if b < len(bulk) and bulks_turn:
            yield bulk[b], True
            b, in_a_row = b + 1, in_a_row - INTERACTIVE_IN_A_ROW
        else:
            yield interactive[i], False
            i, in_a_row = i + 1, in_a_row + 1


def _grant(state: KeyState, visit: Visit) -> None:
    """Send the visitor's calls for which a slot is free after everybody before them has one."""
    free = _free(state)
    turns = {
        place.ticket: bulky
        for before, (place, bulky) in enumerate(_in_order(state))
        if before < free and place.owner == visit.owner
    }
    for ticket, bulky in turns.items():
        state.in_a_row += -INTERACTIVE_IN_A_ROW if bulky else 1
        state.flying[ticket] = _flying(state, visit)
        if state.half_open:
            state.opener = ticket
    _keep_without(state, turns)


def _flying(state: KeyState, visit: Visit) -> Flying:
    """A slot given now, or known to be on the wire."""
    longest = _longest(state)
    mark = _taken(state, longest) - state.booked
    state.booked += 1
    return Flying(visit.owner, state.now + visit.timeout + longest.hold, mark)


def _free(state: KeyState) -> int:
    if state.now < state.closed_until or (state.half_open and state.opener):
        return 0
    free = min(_calls(state, limit) - _taken(state, limit) for limit in state.limits)
    return min(free, 1) if state.half_open else free


def _free_in(state: KeyState, limit: Limit) -> list[float]:
    """In how many seconds each slot that is not on the wire is free, soonest first."""
    busy = sorted(_busy(state, limit))
    idle = _calls(state, limit) - len(state.flying) - len(busy)
    return [0.0] * idle + busy[max(0, -idle) :]


def _taken(state: KeyState, limit: Limit) -> int:
    return len(state.flying) + len(_busy(state, limit))


def _busy(state: KeyState, limit: Limit) -> list[float]:
    """In how many seconds each slot returns that was answered for."""
    returns = [at + limit.hold - state.now for at in state.answered.values()]
    return [seconds for seconds in returns if seconds > 0.0]


def _calls(state: KeyState, limit: Limit) -> int:
    """How many calls are ours in that limit's window; strangers show in the longest one."""
    if state.share is None or limit is not _longest(state):
        return limit.calls
    return state.share.calls


def _longest(state: KeyState) -> Limit:
    return max(state.limits, key=lambda limit: limit.hold)
