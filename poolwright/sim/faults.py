"""Which faults may happen, how often. All off is a healthy world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Faults:
    """Probabilities of each message or call, 0 to 1."""

    drop: float = 0.0  # a message between service and agent is lost
    twice: float = 0.0  # a message arrives twice
    slow: float = 0.0  # a message takes seconds instead of milliseconds
    lost_answer: float = 0.0  # an engine call is done but its answer is lost
    failed_call: float = 0.0  # an engine call is not done
    failed_birth: float = 0.0  # an engine does not bring a machine up
    broken_birth: float = 0.0  # a machine dies at birth


def harsh() -> Faults:
    """What the safety phase runs under."""
    return Faults(
        drop=0.05,
        twice=0.05,
        slow=0.05,
        lost_answer=0.05,
        failed_call=0.05,
        failed_birth=0.03,
        broken_birth=0.02,
    )
