"""Raw httpx and msgspec in a process that has only what `pip install httpx msgspec` installs.

Of this package it has the struct of a lead, which it decodes.

    python -S benchmarks/plain_httpx.py FOLDER URL KEY

The folder has their packages. Each line that comes in, `CALLERS CALLS`, is a round; the line that
goes out is its CPU time (s). httpx finds out faster that it runs in asyncio when sniffio is
installed, and pip does not install it. `benchmarks.engines` starts this.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from importlib.util import find_spec
from pathlib import Path


async def main(url: str, key: str) -> None:
    """Answer each round until the input ends."""
    import httpx
    import msgspec

    if find_spec("sniffio"):
        sys.exit("sniffio can be imported, so this is no plain installation")
    from syncro_async import Lead

    answer_type = msgspec.defstruct("Answer", [("lead", Lead)])
    read = msgspec.json.Decoder(answer_type, strict=False).decode
    headers = {"X-API-Key": key, "Accept": "application/json"}
    limits = httpx.Limits(max_connections=500, max_keepalive_connections=500)
    async with httpx.AsyncClient(headers=headers, timeout=60.0, limits=limits) as client:

        async def calls(first: int, step: int, end: int) -> None:
            for place in range(first, end, step):
                answer = await client.get(f"{url}/leads/{1 + place % 200}")
                read(answer.raise_for_status().content)

        while line := sys.stdin.readline():
            callers, number = map(int, line.split())
            await asyncio.gather(*(calls(each, callers, callers) for each in range(callers)))
            gc.collect()
            began = time.process_time()
            await asyncio.gather(*(calls(each, callers, number) for each in range(callers)))
            print(time.process_time() - began, flush=True)


if __name__ == "__main__":
    folder, url, key = sys.argv[1:]
    sys.path += [folder, str(Path(__file__).parent.parent)]
    asyncio.run(main(url, key))
