"""Calls of the service on the host agent: machines, commands, files."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

from poolwright.agent import files, logs
from poolwright.agent.frames import Message, encode_binary
from poolwright.agent.gather import gather
from poolwright.agent.layout import TRASH
from poolwright.agent.links import Links
from poolwright.agent.machines import Machines
from poolwright.agent.transfers import Transfers

_MAX_SCRIPT = 1024 * 1024

Params = dict[str, Any]
Answer = Callable[[dict[str, Any]], None]


class CallError(Exception):
    """The call failed; `kind` is one of the agent protocol's error kinds."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Calls:
    """Runs calls; each is answered once, some only after many turns of the loop."""

    def __init__(
        self,
        machines: Machines,
        links: Links,
        facts: Callable[[], dict[str, Any]],
        send: Callable[[Message], None],
        send_bytes: Callable[[bytes], None],
        transfers: Transfers,
    ) -> None:
        self._machines = machines
        self._links = links
        self._facts = facts
        self._send = send
        self._send_bytes = send_bytes
        self._transfers = transfers
        self._methods: dict[str, Callable[[int, Params, Answer], None]] = {
            "create": self._create,
            "list": lambda _id, _params, answer: answer({"machines": machines.all()}),
            "delete": self._delete,
            "purge": self._purge,
            "command": self._command,
            "files.list": self._list_files,
            "files.stat": self._status_file,
            "files.read": self._read_file,
            "files.delete": self._delete_file,
            "files.gather": self._gather,
            "files.usage": self._usage,
            "logs": self._logs,
            "transfer": self._transfer,
            "transfer.stop": self._stop_transfer,
            "network": self._network,
            "info": lambda _id, _params, answer: answer(self._facts()),
        }

    def run(self, message: Message) -> None:
        """Run a `call` message and send its reply."""
        call_id = int(message["id"])

        def answer(result: dict[str, Any]) -> None:
            self._send({"op": "reply", "id": call_id, "ok": True, "result": result})

        def refuse(kind: str, text: str) -> None:
            self._send({"op": "reply", "id": call_id, "ok": False, "error": {"kind": kind, "message": text}})

        method = self._methods.get(str(message.get("method")))
        try:
            if method is None:
                raise CallError("Rejected", f"unknown method {message.get('method')!r}")
            method(call_id, message.get("params") or {}, answer)
        except (CallError, files.PathError) as failure:
            refuse(failure.kind, str(failure))
        except (KeyError, TypeError, ValueError) as failure:
            refuse("Rejected", f"bad parameters: {type(failure).__name__}: {failure}")
        except OSError as failure:
            refuse("Internal", f"{failure}")

    def _create(self, _call_id: int, params: Params, answer: Answer) -> None:
        self._machines.create(params["requests"], lambda outcomes: answer({"outcomes": outcomes}))

    def _network(self, _call_id: int, params: Params, answer: Answer) -> None:
        port = params.get("port")
        opened = tuple(int(one) for one in params.get("opened") or ())
        self._machines.expose(str(params["front"]), None if port is None else int(port), opened)
        self._machines.speak_for(str(params.get("authority") or ""))
        answer({})

    def _delete(self, _call_id: int, params: Params, answer: Answer) -> None:
        keep = bool(params.get("keep_storage"))
        for name in params["names"]:
            self._links.drop(name)
            self._transfers.stop_below(os.path.abspath(self._machines.files_root(name)))
        self._machines.delete(params["names"], keep, lambda outcomes: answer({"outcomes": outcomes}))

    def _purge(self, _call_id: int, params: Params, answer: Answer) -> None:
        self._machines.purge(params["names"], lambda _: answer({}))

    def _command(self, call_id: int, params: Params, answer: Answer) -> None:
        if not isinstance(params.get("script"), list) or sum(map(len, params["script"])) > _MAX_SCRIPT:
            raise CallError(
                "Rejected", f"script: must be lines of text, at most {_MAX_SCRIPT} characters in all"
            )

        def done(outcome: dict[str, Any]) -> None:
            if "error" in outcome:
                error = {"kind": outcome.get("kind", "Transient"), "message": outcome["error"]}
                self._send({"op": "reply", "id": call_id, "ok": False, "error": error})
                return
            result = dict(outcome["result"])
            for stream in ("stdout", "stderr"):
                result[stream] = base64.b64decode(result[stream]).decode(errors="replace")
            answer(result)

        self._links.command(str(params["machine"]), params, done)

    def _tree(self, params: Params) -> files.Tree:
        name = str(params["machine"])
        if not self._machines.has(name):
            raise CallError("Transient", f"machine {name} does not run here")
        return files.Tree(self._machines.files_root(name))

    def _list_files(self, _call_id: int, params: Params, answer: Answer) -> None:
        limit = int(params.get("limit", files.MAX_LISTED))
        with self._tree(params) as tree:
            recursive, prefix = bool(params.get("recursive")), str(params.get("prefix", ""))
            after = str(params.get("after", ""))
            found = tree.entries(str(params.get("dir", "")), recursive, limit, prefix, after)
        answer({"files": found})

    def _status_file(self, _call_id: int, params: Params, answer: Answer) -> None:
        with self._tree(params) as tree:
            answer(tree.status(str(params["path"])))

    def _read_file(self, call_id: int, params: Params, answer: Answer) -> None:
        with self._tree(params) as tree:
            data, size = tree.read(str(params["path"]), int(params.get("offset", 0)), int(params["length"]))
        if data:
            self._send_bytes(encode_binary(call_id, data))
        answer({"size": size, "sent": len(data)})

    def _delete_file(self, _call_id: int, params: Params, answer: Answer) -> None:
        with self._tree(params) as tree:
            grave = tree.delete(str(params["path"]), bool(params.get("recursive")), params.get("mtime_us"))
        if grave is not None:
            self._machines.empty_trash(str(params["machine"]), ".trash")
        answer({})

    def _gather(self, _call_id: int, params: Params, answer: Answer) -> None:
        most = (int(params["files_max"]), int(params["file_max"]), int(params["bytes_max"]))
        with self._tree(params) as tree:
            answer({"found": gather(tree, [str(name) for name in params["dirs"]], *most)})

    def _usage(self, _call_id: int, params: Params, answer: Answer) -> None:
        with self._tree(params) as tree:
            answer(dict(tree.usage()))

    def _logs(self, _call_id: int, params: Params, answer: Answer) -> None:
        known = [machine for machine in self._machines.all() if machine["name"] == params["machine"]]
        if not known:
            raise CallError("NotFound", f"no machine {params['machine']}")
        answer({"files": logs.of_machine("log", known[0])})

    def _transfer(self, _call_id: int, params: Params, answer: Answer) -> None:
        """Do a job of the transfer worker (transfer/jobs.py), in a running machine's directories if it has some. A
        fetch for an execution that may have begun is answered with `known`: its directory is no longer ours to fill."""
        name, id, job = str(params["machine"]), str(params["id"]), dict(params["job"])
        if "dir" in job and not any(
            m.name == name and m.fence == params["fence"] for m in self._machines.running()
        ):
            raise CallError("NotFound", f"no machine {name} of this life runs here")
        if job["kind"] == "fetch" and self._links.knows(id):
            return answer({"known": True})
        if "dir" in job:
            job["root"] = os.path.abspath(self._machines.files_root(name))
        if job["kind"] == "image":
            job["pid"], job["pid_start"] = self._machines.process(name)

        def done(outcome: dict[str, Any]) -> None:
            if job["kind"] in ("fetch", "install"):
                self._machines.empty_trash(name, TRASH)
            answer(outcome)

        return self._transfers.run(id, job, done)

    def _stop_transfer(self, _call_id: int, params: Params, answer: Answer) -> None:
        self._transfers.stop(str(params["id"]), lambda: answer({}))
