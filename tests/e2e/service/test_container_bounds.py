"""What containers share, and what they may not do: layers of images, system calls."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler

from tests.e2e.service.live import Live
from tests.e2e.service.test_containers import ADMIN, Shop, containers, hub
from tests.e2e.service.test_multi_instance import MPI, open_mpi
from tests.e2e.service.test_storage import mount
from tests.support import faulty
from tests.support.faulty import Faulty
from tests.support.registry import MANIFEST, Registry, busybox, layer
from tests.support.waiting import wait_until

__all__ = ["hub"]  # a fixture
BASE_BYTES = 20_000_000
#: With these of the node the programs of another place find their loader and libraries.
PROGRAMS = "-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro --tmpfs /tmp"
#: Names of calls by their numbers on x86-64 and on arm64 (the kernel's tables), with arguments that could succeed.
CALLS = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
calls = dict(keyctl=((250, 219), 0, -3, 0), mount=((165, 40), b'none', b'/tmp', b'tmpfs', 0, 0),
    unshare=((272, 97), 1 << 28), userfaultfd=((323, 282), 1), bpf=((321, 280), 0, 0, 0),
    kexec_load=((246, 104), 0, 0, 0, 0), io_uring=((425, 425), 1, 0),
    perf=((298, 241), 0, 0, -1, -1, 0), open_tree=((428, 428), -100, b'/', 0), clone3=((435, 435), 0, 0),
    clone_user=((56, 220), 1 << 28 | 17, 0, 0, 0, 0), seize=((101, 117), 0x4206, os.getppid(), 0, 0))
machine = ('x86_64', 'aarch64').index(os.uname().machine)
for name, (numbers, *arguments) in calls.items():
    ctypes.set_errno(0)
    done = libc.syscall(numbers[machine], *arguments)
    if done == 0 and name == 'clone_user':
        os._exit(0)
    print(name, done if done < 0 else 'done', ctypes.get_errno())
child = os.fork()
if child == 0:
    os._exit(libc.syscall((101, 117)[machine], 0, 0, 0, 0) & 1)
print('traced', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
program = 'import threading, mmap; t = threading.Thread(target=print); t.start(); t.join()'
print('runs', subprocess.run([sys.executable, '-c', program], check=True, capture_output=True).stdout == b'\\n')
"""
COUNT = 'from mpi4py import MPI; c = MPI.COMM_WORLD; print("sum", c.allreduce(c.rank + 1))'


def test_images_of_one_base_have_it_once_on_their_host(live: Live, hub: Registry) -> None:
    base = layer({"data": os.urandom(BASE_BYTES), "old": b"1", "d": None, "d/below": b"1"})
    first = [
        base,
        busybox(),
        layer({"mine": b"first\n", ".wh.old": b"", "d/.wh..wh..opq": b"", "d/own": b"1"}),
    ]
    hub.push("tools/first", first)
    hub.push("tools/second", [base, busybox(), layer({"mine": b"second\n"})])
    images = [f"{hub.server}/tools/{name}" for name in ("first", "second")]
    live.idle_pool(dedicated=2, slots=2, machine=containers(*images))
    live.job()
    for number, wanted in enumerate((["first", "d:", "own"], ["second", "/old", "d:", "below"])):
        tasks = Shop(live, images[number])
        tasks.count = number * 10
        line = "wc -c </data >/dev/null; cat /mine; cd /; ls -d /old 2>/dev/null; ls d >/tmp/l; echo d:; cat /tmp/l"
        assert tasks.said(tasks.add(line, "--tmpfs /tmp")) == wanted
        changed = tasks.add("echo x >/data; rm /mine; cat /data; ls /mine", user_identity=ADMIN)
        tasks.end(changed)
        assert live.output(changed) == "x\n"
        assert tasks.said(tasks.add("head -c 1 /mine >/dev/null && echo there")) == ["there"]
    store = live.data_dir / "containers"
    kept = sum(path.lstat().st_blocks * 512 for path in store.rglob("*"))
    assert BASE_BYTES < kept < 1.5 * BASE_BYTES, kept
    assert len(list((store / "images").iterdir())) == 2
    live.start_again("--container-images", "1")
    code, message = Shop(live, images[0]).failed(_other(live, hub))
    assert (code, "--container-images" in message) == ("DiskFull", True)


def _other(live: Live, hub: Registry) -> str:
    hub.push("tools/other", [busybox(), layer({"more": b"1"})])
    tasks = Shop(live, f"{hub.server}/tools/other")
    tasks.count = 50
    return tasks.add("true")


def test_containers_are_refused_the_calls_that_none_needs(live: Live, hub: Registry) -> None:
    live.start_again("--export", f"mpi={open_mpi()}")
    hub.push("tools/shell")
    image = f"{hub.server}/tools/shell"
    live.idle_pool(
        dedicated=1, slots=2, machine=containers(image), mount_configuration=[mount("poolwright:mpi", "mpi")]
    )
    live.job()
    tasks = Shop(live, image)
    python = f"{MPI}/python3 - <<'EOF'\n{CALLS}\nEOF\n"
    ids = {
        "user": tasks.add(python, PROGRAMS),
        "root": tasks.add(python, PROGRAMS, user_identity=ADMIN),
        "all": tasks.add(python, f"{PROGRAMS} --security-opt seccomp=unconfined", user_identity=ADMIN),
        "ranks": tasks.add(
            f"{MPI}/orterun --mca plm_rsh_agent {MPI}/ssh --mca btl self,vader --oversubscribe -np 3"
            f" {MPI}/python3 -c '{COUNT}'",
            PROGRAMS,
        ),
    }
    for who in ("user", "root"):
        said = [line.split() for line in tasks.said(ids[who])]
        answers = {name: " ".join(words) for name, *words in said}
        assert (answers.pop("traced"), answers.pop("runs")) == ("0", "True")
        assert answers.pop("clone3") == "-1 38"
        assert set(answers.values()) == {"-1 1"}, answers
    free = dict(line.split(" ", 1) for line in tasks.said(ids["all"]))
    assert (free["unshare"], free["clone3"]) == ("done 0", "-1 22"), free
    assert tasks.said(ids["ranks"]) == ["sum 6"] * 3
    code, message = tasks.failed(tasks.add("true", "--security-opt seccomp=unconfined"))
    assert (code, "elevated" in message) == ("ContainerInvalidSettings", True)


def test_a_pull_that_is_killed_is_done_anew(live: Live) -> None:
    """With service, host agent and worker: what it left in the store is in nobody's way."""
    content, server, over = busybox(), Faulty(), threading.Event()
    half = len(content) // 2
    empty, digest = (f"sha256:{hashlib.sha256(data).hexdigest()}" for data in (b"{}", content))
    manifest = {
        "config": {"digest": empty, "size": 2},
        "layers": [{"digest": digest, "size": len(content)}],
        "mediaType": MANIFEST,
    }

    def plan(_: int, request: BaseHTTPRequestHandler) -> None:
        if "/manifests/" in request.path:
            faulty.answer(request, 200, json.dumps(manifest).encode(), Content_Type=MANIFEST)
        elif not request.path.endswith(digest):
            faulty.answer(request, 200, b"{}")
        elif over.is_set():
            faulty.answer(request, 200, content)
        else:
            faulty.answer(request, 200, content[:half], Content_Length=str(len(content)))
            request.wfile.flush()
            over.wait(120)

    server.plan = plan
    try:
        image = f"{server.url.removeprefix('http://')}/tools/shell"
        live.idle_pool(dedicated=1, machine=containers())
        live.job()
        tasks = Shop(live, image)
        id = tasks.add("echo whole")
        begun = re.compile(rf"{image}: [1-9]\d* of {len(content)} bytes are pulled")
        wait_until(lambda: begun.search(live.why("jobs", "job", "tasks", id)), 60, live.service.log_tail)
        live.kill_service()
        live.kill_agent()
        over.set()
        live.start()
        assert tasks.said(id) == ["whole"]
        store = live.data_dir / "containers"
        wait_until(lambda: not list((store / "tmp").iterdir()), 60, lambda: list((store / "tmp").iterdir()))
        assert [len(list((store / kind).iterdir())) for kind in ("images", "layers")] == [1, 1]
    finally:
        over.set()
        server.close()
