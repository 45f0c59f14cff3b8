"""The variables of one evaluation: what the service gives, what the formula assigns."""

from __future__ import annotations

from collections.abc import Mapping

from poolwright.decide.autoscale.samples import History
from poolwright.decide.autoscale.values import INTERVALS, Interval, Metric, Option, Value, kind, show
from poolwright.domain.states import DeallocationOption

#: Metrics of the public language that are sampled here.
COUNTED = (
    "CurrentDedicatedNodes",
    "CurrentLowPriorityNodes",
    "PreemptedNodeCount",
    "UsableNodeCount",
    "ActiveTasks",
    "RunningTasks",
    "PendingTasks",
    "SucceededTasks",
    "FailedTasks",
)
#: Our extension: demand in task slots, so that ten small tasks do not ask for ten nodes.
SLOTS = ("ActiveTaskSlots", "RunningTaskSlots", "PendingTaskSlots")
#: Metrics of the public language that the nodes' agents measure; where a host cannot, their data sets are empty.
USED = (
    "CPUPercent",
    "WallClockSeconds",
    "MemoryBytes",
    "DiskBytes",
    "DiskReadBytes",
    "DiskWriteBytes",
    "DiskReadOps",
    "DiskWriteOps",
    "NetworkInBytes",
    "NetworkOutBytes",
    "SampleNodeCount",
)
METRICS = {name.lower(): name for name in (*COUNTED, *SLOTS, *USED)}

_DEDICATED = ("targetdedicatednodes", "targetdedicated")
_LOW_PRIORITY = ("targetlowprioritynodes", "targetlowpriority")
_OPTION = "nodedeallocationoption"
_WORDS: dict[str, Value] = {option.value: Option(option) for option in DeallocationOption}
_CONSTANTS: dict[str, Value] = {
    **{name: Interval(ticks) for name, ticks in INTERVALS.items()},
    **_WORDS,
    "true": 1.0,
    "false": 0.0,
}


class Undefined(Exception):
    """The formula reads a variable that nobody has set."""


class ReadOnly(Exception):
    """The formula assigns what it may only read, or a value of the wrong type."""


class Variables:
    """Names are compared without regard to case, with or without `$`. Every run begins with the option requeue."""

    def __init__(
        self,
        targets: tuple[int, int],
        counts: Mapping[str, float],
        slots_per_node: int,
        history: History,
    ) -> None:
        """`counts` are metrics known for now itself; other metrics mean their newest sample."""
        self._given = {_DEDICATED[0]: float(targets[0]), _LOW_PRIORITY[0]: float(targets[1])}
        self._assigned: dict[str, float] = {}
        self.option = DeallocationOption.REQUEUE
        self._counts = counts
        self._slots = float(slots_per_node)
        self._history = history
        self._users: dict[str, tuple[str, Value]] = {}

    @property
    def dedicated(self) -> float:
        """The dedicated target as it stands; the full name wins over its alias."""
        return self._target(_DEDICATED)

    @property
    def low_priority(self) -> float:
        """As `dedicated`, of low-priority nodes."""
        return self._target(_LOW_PRIORITY)

    def read(self, written: str) -> Value:
        """The value of a name. Raises Undefined."""
        name = _bare(written)
        if name in _DEDICATED:
            return self.dedicated
        if name in _LOW_PRIORITY:
            return self.low_priority
        if name == _OPTION:
            return Option(self.option)
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        if name == "taskslotspernode":
            return self._slots
        if name in METRICS:
            metric = METRICS[name]
            newest = self._history.newest(metric, 1)
            return Metric(metric, self._counts.get(metric, newest[0] if newest else 0.0))
        if name in self._users:
            return self._users[name][1]
        raise Undefined(f"the variable {written} is not defined")

    def assign(self, written: str, value: Value) -> None:
        """Set a variable. Raises ReadOnly."""
        name = _bare(written)
        if name in (*_DEDICATED, *_LOW_PRIORITY):
            found = value.number if isinstance(value, Metric) else value
            if not isinstance(found, float):
                raise ReadOnly(f"{written} takes a double, not a {kind(value)}")
            self._assigned[name] = found
        elif name == _OPTION:
            if not isinstance(value, Option):
                words = ", ".join(_WORDS)
                raise ReadOnly(f"{written} takes one of {words}, not a {kind(value)}")
            self.option = value.option
        elif name in _CONSTANTS or name in METRICS or name == "taskslotspernode":
            raise ReadOnly(f"{written} is given by the service and cannot be assigned")
        else:
            self._users[name] = (written, value)

    def show_users(self) -> list[str]:
        """The formula's own variables as results print them, in alphabetical order."""
        return [f"{written}={show(value)}" for _, (written, value) in sorted(self._users.items())]

    def _target(self, names: tuple[str, str]) -> float:
        for name in names:
            if name in self._assigned:
                return self._assigned[name]
        return self._given[names[0]]


def _bare(name: str) -> str:
    return name.removeprefix("$").lower()
