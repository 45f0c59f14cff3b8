"""What the service counts about itself, in the words of Prometheus: requests, passes of the loops, commits.

Labels are bounded: operations and nouns are tables of this program, status codes are few.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

_REQUEST_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)
_PASS_BUCKETS = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
_PULL_BUCKETS = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0)


class Meter:
    """Counters and histograms of one service. May be told from any thread."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "poolwright_api_requests",
            "Requests that were answered.",
            ("plane", "operation", "status"),
            registry=self.registry,
        )
        self._request_s = Histogram(
            "poolwright_api_request_duration_seconds",
            "Time from a request to its answer.",
            ("plane", "operation"),
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._passes = Histogram(
            "poolwright_reconcile_duration_seconds",
            "Length of the passes over one noun.",
            ("noun",),
            buckets=_PASS_BUCKETS,
            registry=self.registry,
        )
        self._failures = Counter(
            "poolwright_reconcile_failures",
            "Passes that failed and are tried again.",
            ("noun",),
            registry=self.registry,
        )
        self._commits = Histogram(
            "poolwright_store_commit_duration_seconds",
            "Time a group of writes takes, with its sync to disk.",
            buckets=_COMMIT_BUCKETS,
            registry=self.registry,
        )
        self._pulls = Histogram(
            "poolwright_image_pull_duration_seconds",
            "Time until a container image was on a node or it was clear that it will not be, by how that ended.",
            ("outcome",),
            buckets=_PULL_BUCKETS,
            registry=self.registry,
        )
        self._pulled = Counter(
            "poolwright_image_pull_bytes",
            "Bytes of the layers of images that were pulled from registries.",
            registry=self.registry,
        )
        self._writes = Counter("poolwright_store_writes", "Writes in those groups.", registry=self.registry)

    def data(self, operation: str, status: int, seconds: float) -> None:
        """A request of the data plane was answered; `operation` is a name of the registry, or "unknown"."""
        self._request("data", operation, status, seconds)

    def management(self, operation: str, status: int, seconds: float) -> None:
        """The same of the management plane; `operation` is a method and a path, or "unknown"."""
        self._request("management", operation, status, seconds)

    def _request(self, plane: str, operation: str, status: int, seconds: float) -> None:
        self._requests.labels(plane, operation, str(status)).inc()
        self._request_s.labels(plane, operation).observe(seconds)

    def served(self, noun: str, seconds: float, well: bool) -> None:
        """A pass over a noun ended."""
        self._passes.labels(noun).observe(seconds)
        if not well:
            self._failures.labels(noun).inc()

    def commit(self, writes: int, seconds: float) -> None:
        """A group of writes is durable."""
        self._commits.observe(seconds)
        self._writes.inc(writes)

    def pull(self, outcome: str, size: int, seconds: float) -> None:
        """A container image was asked for on a node; `size` bytes were pulled for it. Outcomes: see
        reconcile/containers.py."""
        self._pulls.labels(outcome).observe(seconds)
        self._pulled.inc(size)
