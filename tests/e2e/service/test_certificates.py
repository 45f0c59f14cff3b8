"""Certificates on real nodes: who reads which, and from when on. Through the client of 2024, which still has them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package

from tests.e2e.service.live import POLL, Live
from tests.e2e.service.test_logins import Ssh
from tests.support.certificates import PASSWORD, make
from tests.support.older import Older, Refused, running
from tests.support.waiting import wait_until

LOOK = (
    "/bin/sh -c 'cd $AZ_BATCH_CERTIFICATES_DIR && ls; cat *.pw 2>/dev/null && echo; "
    "for one in *.pfx; do sha256sum $one; done; ls ../starttask ../task ../remoteuser 2>&1 | grep -c denied;"
    " touch mine 2>&1 | grep -c denied; true'"
)


@pytest.fixture
def older(live: Live, tmp_path: Path) -> Iterator[Older]:
    ready = live.ready
    url = f"https://{ready.account_endpoint}"
    with running(
        url, str(ready.ca_file), ready.account_name, ready.account_key, tmp_path / "older.log"
    ) as client:
        yield client


def seen_by(one: str, said: str) -> None:
    """The task saw this certificate with its password, and no other."""
    name = f"sha1-{one}.pfx"
    assert said.split()[:2] == [name, name + ".pw"], said
    assert PASSWORD in said
    assert said.split()[-2:] == ["2", "1"], f"two directories are closed, and nobody writes: {said}"


def is_gone(older: Older, thumbprint: str) -> bool:
    """Whether there is no such certificate any more."""
    try:
        older("certificate", thumbprint)
    except Refused as refused:
        return refused.status == 404
    return False


def test_tasks_and_people_read_what_is_meant_for_them(live: Live, older: Older, tmp_path: Path) -> None:
    starts, runs, logs_in, later = (make(name) for name in ("starts", "runs", "logs-in", "later"))
    for one in (starts, runs, later):
        older("add_certificate", one.thumbprint, one.data, "pfx", PASSWORD)
    public = base64.b64encode(logs_in.pem).decode()
    older("add_certificate", logs_in.thumbprint, public, "cer", None)
    wanted = {starts.thumbprint: ["starttask"], runs.thumbprint: ["task"], logs_in.thumbprint: ["remoteuser"]}
    older("create_certified_pool", "pool", wanted, LOOK)
    live.wait_nodes("pool", {"idle": 1}, 120)

    (node,) = [str(found["id"]) for found in live.batch.list_nodes("pool")]
    start = b"".join(live.batch.download_node_file("pool", node, "startup/stdout.txt")).decode()
    seen_by(starts.thumbprint, start)
    assert hashlib.sha256(starts.pfx).hexdigest() in start
    live.job()
    live.task("look", LOOK)
    alone = batch.UserIdentity(auto_user=batch.AutoUserSpecification(scope="task"))
    live.task("alone", LOOK, user_identity=alone)
    live.wait_completed(2)
    for task in ("look", "alone"):
        seen_by(runs.thumbprint, live.output(task))
    names = [str(found["name"]) for found in live.batch.list_node_files("pool", node, recursive=True)]
    assert not [name for name in names if "sha1-" in name or "cert" in name]

    ssh = Ssh(live, tmp_path)
    user = batch.BatchNodeUserCreateOptions(name="visitor", ssh_public_key=ssh.public)
    live.batch.create_node_user("pool", node, user)
    ssh.until(True, "visitor")
    name = f"sha1-{logs_in.thumbprint}.cer"
    assert ssh.run("visitor", "cd certs && ls && stat -c %a,%U . *").stdout.split() == [
        name,
        "700,visitor",
        "600,visitor",
    ]
    assert logs_in.pem.decode() == ssh.run("visitor", f"cat certs/{name}").stdout

    older("certify_pool", "pool", {later.thumbprint: ["task", "remoteuser"]})
    older("delete_certificate", runs.thumbprint)
    wait_until(
        lambda: older("certificate", runs.thumbprint)["state"] == "deletefailed", 30, live.service.log_tail
    )
    error = older("certificate", runs.thumbprint)["delete_certificate_error"]
    assert error["values"] == [{"name": "Nodes", "value": f"pool/{node}"}], "it has it until it restarts"
    live.batch.begin_reboot_node("pool", node, Reboot(node_reboot_kind="requeue"), **POLL).result()
    live.wait_nodes("pool", {"idle": 1}, 120)
    live.task("after", LOOK)
    live.wait_completed(3)
    seen_by(later.thumbprint, live.output("after"))
    assert older("pool_certificates", "pool")[1] == [[later.thumbprint]]
    ssh.until(True, "visitor")
    assert ssh.run("visitor", "ls certs").stdout.split()[0] == f"sha1-{later.thumbprint}.pfx"
    older("delete_certificate", runs.thumbprint)
    wait_until(lambda: is_gone(older, runs.thumbprint), 30, live.service.log_tail)
    assert PASSWORD not in live.service.log_tail()
