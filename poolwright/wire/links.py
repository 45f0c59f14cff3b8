"""Addresses in answers, as the client that asks can reach them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses below `endpoint`: scheme, authority and path prefix the client used, without a slash at the end."""

    endpoint: str

    def pool(self, pool: str) -> str:
        """A pool's address."""
        return f"{self.endpoint}/pools/{pool}"

    def node(self, pool: str, node: str) -> str:
        """A node's address."""
        return f"{self.endpoint}/pools/{pool}/nodes/{node}"

    def node_file(self, pool: str, node: str, name: str) -> str:
        """A file's address on its node; the name is relative to the node's root directory."""
        return f"{self.endpoint}/pools/{pool}/nodes/{node}/files/{quote(name)}"

    def job(self, job: str) -> str:
        """A job's address."""
        return f"{self.endpoint}/jobs/{job}"

    def job_schedule(self, schedule: str) -> str:
        """A job schedule's address."""
        return f"{self.endpoint}/jobschedules/{schedule}"

    def certificate(self, thumbprint: str) -> str:
        """A certificate's address."""
        return f"{self.endpoint}/certificates(thumbprintAlgorithm=sha1,thumbprint={thumbprint})"

    def task(self, job: str, task: str) -> str:
        """A task's address."""
        return f"{self.endpoint}/jobs/{job}/tasks/{task}"

    def task_file(self, job: str, task: str, name: str) -> str:
        """A file's address in its task's directory."""
        return f"{self.endpoint}/jobs/{job}/tasks/{task}/files/{quote(name)}"

    def metadata(self, what: str) -> str:
        """The `odata.metadata` of an answer, e.g. `pools` or `pools/@Element`."""
        return f"{self.endpoint}/$metadata#{what}"
