"""The collector: nothing in the image plane or on the engine without a row, and no row without its file.

What exists is listed before the rows are read. A row is always written before the thing itself is made, so whatever the
list shows and the rows do not is left over, and never something just being made.
"""

from __future__ import annotations

import logging

from poolwright.domain.clock import Clock
from poolwright.domain.compute import machine_state
from poolwright.domain.resource_id import MACHINES
from poolwright.engines.base import EngineError
from poolwright.images.base import ImagePlaneError
from poolwright.reconcile import resources_record as record
from poolwright.reconcile.resources_apply import Actor
from poolwright.store.base import Store

_LOG = logging.getLogger(__name__)


async def collect(store: Store, actor: Actor, clock: Clock) -> list[str]:
    """Remove what no row owns and note what rows miss. Returns what was found, in words."""
    await _buried(store, actor)
    return [*await _files(store, actor, clock), *await _machines(store, actor)]


async def _buried(store: Store, actor: Actor) -> None:
    """Files of resources that were removed while somebody used them: remove those nobody uses any more."""
    for row in await store.read(lambda tx: tx.resources.all_disks()):
        if not row.owner.startswith(record.BURIED):
            continue
        try:
            await actor.remove(row.name)
        except (ImagePlaneError, OSError) as error:
            _LOG.info("disk file %s of a removed resource stays for now: %s", row.name, error)
            continue
        name = row.name
        await store.write(lambda tx: tx.resources.drop_disk(name))  # noqa: B023 - awaited before the next turn


async def _files(store: Store, actor: Actor, clock: Clock) -> list[str]:
    found: list[str] = []
    try:
        before = await store.read(lambda tx: tx.resources.all_disks())
        present = {info.name for info in await actor.files()}
    except (ImagePlaneError, OSError) as error:
        return [f"the image plane could not be listed: {error}"]
    rows = {row.name: row for row in await store.read(lambda tx: tx.resources.all_disks())}
    for name in sorted(present - rows.keys()):
        found.append(f"disk file {name} belonged to nothing and was removed")
        try:
            await actor.remove(name)
        except (ImagePlaneError, OSError) as error:
            found[-1] = f"disk file {name} belongs to nothing and could not be removed: {error}"
    for row in before:
        # Ready before the list was made, ready still, and not in the list.
        still = rows.get(row.name)
        if row.state == "ready" and still is not None and still.state == "ready" and row.name not in present:
            lost = row
            found.append(f"disk file {row.name} of {row.owner} has disappeared")
            now = clock.now()
            await store.write(lambda tx: record.file_lost(tx, now, lost))  # noqa: B023 - awaited before the next turn
    _tell(found)
    return found


async def _machines(store: Store, actor: Actor) -> list[str]:
    found: list[str] = []
    try:
        present = await actor.machines()
    except EngineError as error:
        return [f"the engine could not be listed: {error}"]
    rows = await store.read(lambda tx: tx.resources.of_type(MACHINES))
    owned = {machine_state(resource.inner).machine for resource in rows}
    for name in sorted(present.keys() - owned):
        found.append(f"machine {name} belonged to nothing and was removed")
        try:
            await actor.destroy(name)
        except EngineError as error:
            found[-1] = f"machine {name} belongs to nothing and could not be removed: {error}"
    _tell(found)
    return found


def _tell(found: list[str]) -> None:
    for text in found:
        _LOG.warning("collector: %s", text)
