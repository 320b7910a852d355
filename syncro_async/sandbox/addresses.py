"""Finds the oldest lead of an email or a telephone without looking at all of them."""

from __future__ import annotations

from itertools import islice

from syncro_async.sandbox.record import LeadRecord


class Addresses:
    """Who has which address, learned when it is asked for; new leads stand at the end."""

    def __init__(self, leads: dict[int, LeadRecord]) -> None:
        self._leads = leads
        self._forget()

    def oldest(self, key: str, address: str) -> LeadRecord | None:
        """The lead that has it as `key` (`"email"`, `"phone"`); None when there is none."""
        if self._as_of != LeadRecord.moves:
            self._forget()
        self._learn()
        lead_id = self._ids[key].get(address)
        return None if lead_id is None else self._leads[lead_id]

    def _forget(self) -> None:
        self._known: list[LeadRecord] = []
        self._as_of = LeadRecord.moves
        self._ids: dict[str, dict[str, int]] = {"email": {}, "phone": {}}

    def _learn(self) -> None:
        """Read what came since; from the start when a lead has gone."""
        missing = len(self._leads) - len(self._known)
        new = [*islice(reversed(self._leads.values()), max(0, missing + 1))]
        if self._known and not (new and new[-1] is self._known[-1]):
            self._forget()
            new = [*reversed(self._leads.values())]
        for lead in reversed(new):
            for key, ids in self._ids.items():
                if lead[key] is not None:
                    ids.setdefault(lead[key], lead["id"])
            if not self._known or lead is not self._known[-1]:
                self._known.append(lead)
