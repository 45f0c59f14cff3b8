"""What a node that is about to begin waits for, in words: packages, container images, files of its start task."""

from __future__ import annotations

from poolwright.domain.facts import Explanation
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState


def beginning(row: Node, transfer: str | None) -> Explanation | None:
    """None for a node that waits for nothing of that. `transfer`: what is being brought for it, in words."""
    if row.state is NodeState.WAITING_FOR_START_TASK and transfer is not None:
        text = f"The pool's start task has not begun; {transfer}."
        return Explanation("TransferringFiles", text, "Wait, or see whether the storage answers.")
    if not row.packages.pending or row.state is not NodeState.STARTING:
        return None
    if row.packages.containers:
        what = transfer or "its container images are being brought"
        return Explanation(
            "PullingImages", f"The node is starting; {what}.", "Wait, or see whether the registry answers."
        )
    return Explanation("InstallingPackages", "Its application packages are being installed.", "Wait.")
