"""Kills imports of 400 rows fifty times each, at a server that changes what it stores.

    python -m benchmarks.import_kills [--rows 400] [--kills 50] [--seeds 3]

It is the long form of `tests/bulk/importing/test_normalising_server.py`, in virtual time. It ends
with an error when a row is not at the server once, when a row is in doubt, or when the lead of
another writer has changed.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.bulk.importing.test_normalising_server import check


def main(words: list[str] | None = None) -> None:
    """Run every kind of import with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(words)
    for kind in ("create", "upsert"):
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                count, kills = given.rows, given.kills
                asyncio.run(check(Path(folder), kind, count=count, kills=kills, seed=seed))
            print(f"{kind}, seed {seed}: {given.rows} rows, {given.kills} kills: each row once")


if __name__ == "__main__":
    main()
