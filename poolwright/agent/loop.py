"""A small single-threaded event loop: descriptors, timers, ended children, and work for the end of a turn.

Single-threaded because its users fork; written out because asyncio would triple what each forked machine carries.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable

from poolwright.agent import rusage
from poolwright.agent.rusage import Ended

Callback = Callable[[], None]
ChildCallback = Callable[[int], None]


class Timer:
    """A call that is due later; `cancel` is harmless after it was made."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callback) -> None:
        self.due = due
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    """Runs callbacks until `stop`. Times are seconds of the monotonic clock."""

    def __init__(self, own_io: int | None = None) -> None:
        """With `own_io` (see rusage.py) it tells what ended children transferred."""
        self._collector = rusage.Collector(own_io)
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._children: dict[int, ChildCallback] = {}
        self._turn_end: list[Callback] = []
        self._running = False
        self._any_child: Callable[[Ended], None] | None = None
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)

    def handle_signals(self, handlers: dict[signal.Signals, Callback]) -> None:
        """Turn signals into callbacks of this loop; SIGCHLD is always taken."""
        for number in (signal.SIGCHLD, *handlers):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._wake_w.fileno(), warn_on_full_buffer=False)
        self.read(self._wake_r.fileno(), lambda: self._on_wake(handlers))

    def on_any_child(self, callback: Callable[[Ended], None]) -> None:
        """Called with every ended child nobody else waits for."""
        self._any_child = callback

    def read(self, fd: int, callback: Callback) -> None:
        """Call back whenever `fd` is readable."""
        self._selector.register(fd, selectors.EVENT_READ, [callback, None])

    def write(self, fd: int, callback: Callback | None) -> None:
        """Call back whenever the registered `fd` is writable; None ends that."""
        key = self._selector.get_key(fd)
        key.data[1] = callback
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if callback else 0)
        self._selector.modify(fd, events, key.data)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; harmless when it is not watched."""
        try:
            key = self._selector.unregister(fd)
        except (KeyError, ValueError):
            return
        key.data[:] = [None, None]  # it may be ready in this very turn

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once after `seconds`."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    def child(self, pid: int, callback: ChildCallback) -> None:
        """Call back with the wait status of the child `pid`."""
        self._children[pid] = callback

    def at_turn_end(self, callback: Callback) -> None:
        """Call back before the loop waits again: what one turn gathered goes out together."""
        self._turn_end.append(callback)

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        """Give back the loop's own descriptors; it cannot run again."""
        self._selector.close()
        self._wake_r.close()
        self._wake_w.close()

    def run(self) -> None:
        """Run until `stop`."""
        self._running = True
        self._finish_turn()
        while self._running:
            for key, events in self._selector.select(self._timeout()):
                if events & selectors.EVENT_WRITE and key.data[1] is not None:
                    key.data[1]()
                if events & selectors.EVENT_READ and key.data[0] is not None:
                    key.data[0]()
            self._run_timers()
            self._finish_turn()

    def reap(self) -> None:
        """Collect every ended child now."""
        while True:
            try:
                ended = self._collector.collect()
            except ChildProcessError:
                return
            if ended is None:
                return
            callback = self._children.pop(ended.pid, None)
            if callback is not None:
                callback(ended.status)
            elif self._any_child is not None:
                self._any_child(ended)

    def _finish_turn(self) -> None:
        while self._turn_end:
            todo, self._turn_end = self._turn_end, []
            for callback in todo:
                callback()

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()

    def _on_wake(self, handlers: dict[signal.Signals, Callback]) -> None:
        try:
            numbers = set(self._wake_r.recv(4096))
        except BlockingIOError:
            return
        if signal.SIGCHLD in numbers:
            self.reap()
        for number, callback in handlers.items():
            if number in numbers:
                callback()
