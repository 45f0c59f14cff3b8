"""A process that writes without end and says what was acknowledged; its parent kills it."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

from poolwright.store.base import Tx
from poolwright.store.sqlite import SqliteStore
from tests.contract.store.values import job, new_task


def _insert(job_pk: int, ids: list[str], tx: Tx) -> None:
    tx.tasks.insert_many(job_pk, [new_task(id) for id in ids], 1)


async def main(directory: Path) -> None:
    store = SqliteStore(directory)
    made = await store.write(lambda tx: tx.jobs.insert(job()))

    async def stream(worker: int) -> None:
        number = 0
        while True:
            ids = [f"w{worker}-{number}-{n}" for n in range(10)]
            await store.write(partial(_insert, made.pk, ids))
            sys.stdout.write("".join(f"{id}\n" for id in ids))
            sys.stdout.flush()
            number += 1

    await asyncio.gather(*(stream(worker) for worker in range(4)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
