"""A lead's place in a nurture sequence."""

from __future__ import annotations

import msgspec

from syncro_async.models.moments import Moment


class Enrollment(msgspec.Struct, frozen=True, gc=False):
    """What enrolling or leaving a sequence came to (API reference, 'Leads').

    `status` is the server's word, `active` or `exited_manual` for instance. `lead_sequence_id`
    and `next_step_at` (aware) come with an enrollment only.
    """

    lead_id: int
    sequence_id: int
    status: str
    lead_sequence_id: int | None = None
    next_step_at: Moment | None = None
