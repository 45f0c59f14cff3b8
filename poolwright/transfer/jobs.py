"""One job from its order (JSON) to its outcome (JSON), in a process of its own.

Orders have `kind` and what it takes: `fetch` (`root`, `dir`, `fresh`, `items`; with `shared` into the directory itself,
not its `wd`), `deliver` (`root`, `dir`, `items`, `env`), `install` (`root`, `dir`, `file`), `image` (`root`, `dir`,
`image`, `store`, `username`, `password`, `pid`, `pid_start`), `logs` (`url`, `prefix`, `texts`); all may have
`networks`, and `own` (`port`, `authority`): where the service itself answers, and by whose certificate.
Outcomes: `{"ok": true, ...}` or `ok` false with `code`, `message` and `details` as
the public service words them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import requests

from poolwright.domain.containers import MISC_ERROR
from poolwright.transfer import delivering, fetching, images, packages, trees
from poolwright.transfer.addresses import Policy, session
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.fetching import PATIENCE, Fetcher, Item, Patience

Json = dict[str, Any]
_MISC = {
    "fetch": "BlobDownloadMiscError",
    "deliver": "FileUploadMiscError",
    "logs": "FileUploadMiscError",
    "install": "ApplicationPackageError",
    "image": MISC_ERROR,
}


def run(order: Mapping[str, Any], patience: Patience = PATIENCE) -> Json:
    """Do one job. Never raises."""
    kind = str(order.get("kind"))
    try:
        own = order.get("own") or {}
        policy = Policy(order.get("networks"), own.get("port"))
        with session(policy, fetching.PARALLEL * 2, own.get("authority") or "") as http:
            if kind == "fetch":
                return {"ok": True, **_fetch(order, http, patience)}
            if kind == "deliver":
                origin = trees.Origin(order["root"], order["dir"])
                outputs = delivering.Outputs(http, origin, order["dir"], order["env"])
                return {"ok": True, "files": outputs.all(order["items"])}
            if kind == "install":
                return {"ok": True, **packages.install(order)}
            if kind == "image":
                return {"ok": True, **images.show(order, http, patience)}
            if kind == "logs":
                return {"ok": True, "files": delivering.logs(http, order)}
    except TransferFailed as failure:
        details = [list(pair) for pair in failure.details]
        return {"ok": False, "code": failure.code, "message": str(failure), "details": details}
    except Exception as failure:  # noqa: BLE001 - whatever a server or a library does, the job has an outcome
        text = f"unexpected: {type(failure).__name__}"
        return {"ok": False, "code": _MISC.get(kind, "Unknown"), "message": text, "details": []}
    return {"ok": False, "code": "Unknown", "message": f"unknown kind of job {kind!r}", "details": []}


def _fetch(order: Mapping[str, Any], http: requests.Session, patience: Patience) -> Json:
    target = trees.prepare(
        str(order["root"]), str(order["dir"]), fresh=bool(order["fresh"]), shared=bool(order.get("shared"))
    )
    try:
        done = Fetcher(http, target, patience).all(_items(order, http))
    finally:
        target.close()
    return {"files": done.files, "bytes": done.bytes}


def _items(order: Mapping[str, Any], http: requests.Session) -> Iterator[Item]:
    for item in order["items"]:
        if item["from"] == "container":
            yield from fetching.blobs(http, item)
        else:
            yield Item(str(item["url"]), "/".join(trees.split(str(item["path"]))), int(item["mode"]))
