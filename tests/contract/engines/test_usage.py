"""What a machine has used, as its host agent tells it with its signs of life."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.engines.base import Machine
from poolwright.engines.hub import Json
from tests.contract.engines.rig import Rig, node

pytestmark = pytest.mark.needs_root

SPIN = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"
WORK = f"sh -c '{SPIN}; dd if=/dev/zero of=f bs=1M count=8 conv=fsync; cat f >/dev/null'"


class Listening(Rig):
    """A rig that keeps what comes with signs of life."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir)
        self.beats: list[Json] = []

    def on_beat(self, beat: Json) -> None:
        self.beats.append(beat)


async def test_used_processor_time_and_transfers_are_told(tmp_path: Path, image: Path) -> None:
    rig = Listening(tmp_path / "data")
    try:
        await rig.start()
        (machine,) = await rig.engine.create([node("m", image)])
        assert isinstance(machine, Machine), machine
        assert (await rig.run("m", "e", WORK)).get("exit_code") == 0
        seen = len(rig.beats)

        def told() -> Json | None:
            words = [beat["usage"]["m"] for beat in rig.beats[seen:] if "m" in beat["usage"]]
            return words[-1] if words else None

        if not machine.limits:
            pytest.skip(
                f"no control group here, so nothing tells which processes are the machine's: {machine.notes}"
            )
        usage: Json = await rig.until(told, "a word on what the machine used", 60)
        assert usage["cores"] == 1000
        assert usage["cpu_us"] > 50_000, "a task's processor time is kept when it has ended"
        assert usage["written"] >= 8 << 20
        assert usage["writes"] >= 8
        assert usage["memory"] > 100_000
        assert rig.beats[-1]["disk_used"] > 0
    finally:
        await rig.close()
