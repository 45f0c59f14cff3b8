"""Where things of a machine are on the host, below the data directory."""

from __future__ import annotations

import os

from poolwright.engines.sandbox.host import owndisks


class Layout:
    """Paths below one data directory. They are relative when the host agent's current directory is that directory."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.run = os.path.join(root, "run")
        self.sockets = os.path.join(self.run, "m")
        self.nodes = os.path.join(root, "nodes")
        self.trash = os.path.join(self.nodes, ".trash")
        self.login_kit = os.path.join(self.run, "ssh")
        self.runtime = os.path.join(self.run, "crun")

    def prepare(self) -> None:
        """Make the directories. Containers pass through some of them by descriptor only, so none is public."""
        for path, mode in (
            (self.run, 0o711),
            (self.sockets, 0o700),
            (self.nodes, 0o711),
            (self.trash, 0o700),
            (self.login_kit, 0o755),
            (self.runtime, 0o755),
        ):
            os.makedirs(path, mode=mode, exist_ok=True)

    def socket(self, name: str) -> str:
        return os.path.join(self.sockets, name + ".sock")

    def machine(self, name: str) -> str:
        return os.path.join(self.nodes, name)

    def temp(self, name: str) -> str:
        return os.path.join(self.nodes, name, "temp")

    def own_disk(self, name: str, lun: int | None) -> str:
        return os.path.join(self.nodes, name, "disks", owndisks.file_name(lun))

    def record(self, name: str) -> str:
        return os.path.join(self.nodes, name, "machine.json")
