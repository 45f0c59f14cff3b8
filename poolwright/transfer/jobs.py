"""One job from its order (JSON) to its outcome (JSON), in a process of its own.

Orders have `kind` and what it takes: `fetch` (`root`, `dir`, `fresh`, `items`; with `shared` into the directory itself,
not its `wd`), `deliver` (`root`, `dir`, `items`, `env`), `install` (`root`, `dir`, `file`), `image` (`root`, `dir`,
`image`, `store`, `bound`, `kept_free`, `username`, `password`, `pid`, `pid_start`), `logs` (`url`, `prefix`, `texts`);
all may have `networks`, and `own` (`port`, `authority`, `trusted`): where the service itself answers, by whose
certificate (PEM), and the file of those whom its operator trusts besides.
Outcomes: `{"ok": true, ...}` or `ok` false with `code`, `message` and `details` as the public service words them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

from poolwright.domain.containers import MISC_ERROR
from poolwright.transfer import delivering, fetching, images, packages, trees
from poolwright.transfer.addresses import Policy, session
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.fetching import PATIENCE, Fetcher, Item, Patience
from poolwright.transfer.hands import Hands, OwnHands

Json = dict[str, Any]
MISC = {
    "fetch": "BlobDownloadMiscError",
    "deliver": "FileUploadMiscError",
    "logs": "FileUploadMiscError",
    "install": "ApplicationPackageError",
    "image": MISC_ERROR,
}


def run(order: Mapping[str, Any], patience: Patience = PATIENCE) -> Json:
    """Do one job in this process. Never raises."""
    return told(order, lambda: _alone(order, patience))


def told(order: Mapping[str, Any], work: Callable[[], Json]) -> Json:
    """The outcome of the job that `work` does, whatever it raises."""
    kind = str(order.get("kind"))
    try:
        return work()
    except TransferFailed as failure:
        details = [list(pair) for pair in failure.details]
        told = {"ok": False, "code": failure.code, "message": str(failure), "details": details}
        return {**told, "bytes": failure.bytes} if failure.bytes else told
    except Exception as failure:  # noqa: BLE001 - whatever a server or a library does, the job has an outcome
        text = f"unexpected: {type(failure).__name__}"
        return {"ok": False, "code": MISC.get(kind, "Unknown"), "message": text, "details": []}


def _alone(order: Mapping[str, Any], patience: Patience) -> Json:
    with OwnHands(order) as hands:
        if hands.outcome is not None:
            return hands.outcome
        return hands.finish(told(order, lambda: move(order, hands, patience)))


def move(order: Mapping[str, Any], hands: Hands, patience: Patience = PATIENCE) -> Json:
    """What a job does with the network and with what users wrote, by the hands it is given. Raises TransferFailed."""
    kind = str(order.get("kind"))
    if kind == "install":
        return packages.unpack(hands.archive, hands.target)
    own = order.get("own") or {}
    policy = Policy(order.get("networks"), own.get("port"))
    with session(policy, fetching.PARALLEL * 2, own.get("authority") or "") as http:
        if kind == "fetch":
            done = Fetcher(http, hands.target, patience).all(_items(order, http, patience))
            return {"ok": True, "files": done.files, "bytes": done.bytes}
        if kind == "deliver":
            outputs = delivering.Outputs(http, hands.origin, order["dir"], order["env"], patience=patience)
            return {"ok": True, "files": outputs.all(order["items"])}
        if kind == "image":
            return {"ok": True, **images.show(order, http, patience)}
        if kind == "logs":
            return {"ok": True, "files": delivering.logs(http, order)}
    return {"ok": False, "code": "Unknown", "message": f"unknown kind of job {kind!r}", "details": []}


def _items(order: Mapping[str, Any], http: requests.Session, patience: Patience) -> Iterator[Item]:
    for item in order["items"]:
        if item["from"] == "container":
            yield from fetching.blobs(http, item, patience)
        else:
            yield Item(str(item["url"]), "/".join(trees.split(str(item["path"]))), int(item["mode"]))
