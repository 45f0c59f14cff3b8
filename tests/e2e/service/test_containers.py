"""Container tasks: images from a real registry, run on real nodes, through the official client."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package
from azure.core.rest import HttpRequest

from tests.e2e.service.live import POLL, Live
from tests.support import faulty
from tests.support.faulty import Faulty
from tests.support.registry import MANIFEST, Registry, registry
from tests.support.waiting import wait_until

ADMIN = batch.UserIdentity(auto_user=batch.AutoUserSpecification(elevation_level="admin"))
AT_ONCE = Reboot(node_reboot_kind="requeue")
ROOT = "/mnt/batch/tasks"
SENT = 1024**2


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Registry]:
    """A registry that lets everybody pull."""
    with registry(tmp_path / "registry") as made:
        yield made


def containers(*images: str, registries: list[Any] | None = None) -> dict[str, Any]:
    made = batch.BatchContainerConfiguration(
        type="dockerCompatible", container_image_names=list(images), container_registries=registries
    )
    return {"container_configuration": made}


def inside(image: str, **more: Any) -> batch.BatchTaskContainerSettings:
    return batch.BatchTaskContainerSettings(image_name=image, **more)


def script(text: str) -> str:
    return "/bin/sh -c '" + text.replace("'", "'\\''") + "'"


class Shop:
    """Tasks of one job, in containers of one image."""

    def __init__(self, live: Live, image: str) -> None:
        self.live, self.image, self.count = live, image, 0

    def add(self, command: str, options: str | None = None, image: str | None = None, **more: Any) -> str:
        """A task; `command` is a shell script. Returns its id."""
        settings = {name: more.pop(name) for name in list(more) if name in SETTINGS}
        given = inside(image or self.image, container_run_options=options, **settings)
        return self.plain(script(command) if command else "", container_settings=given, **more)

    def plain(self, command_line: str, **more: Any) -> str:
        self.count += 1
        id = f"t{self.count}"
        task = batch.BatchTaskCreateOptions(id=id, command_line=command_line, **more)
        self.live.batch.create_task("job", task)
        return id

    def end(self, id: str) -> Any:
        done = self.live.wait_task(id, "completed")
        return done["executionInfo"]

    def said(self, id: str) -> list[str]:
        """The lines of a task that exits with 0."""
        end = self.end(id)
        assert end.get("exitCode") == 0, (end, self.live.output(id, name="stderr.txt"))
        return self.live.output(id).splitlines()

    def failed(self, id: str) -> tuple[str, str]:
        """(code, message) of a task that never ran."""
        end = self.end(id)
        assert "exitCode" not in end, end
        return end["failureInfo"]["code"], end["failureInfo"]["message"]


SETTINGS = ("registry", "working_directory", "container_host_batch_bind_mounts")


def shop(live: Live, hub: Registry, dedicated: int = 1, **more: Any) -> Shop:
    """A pool that brings an image with a shell, and a job on it."""
    hub.push("tools/shell", Env=["GREETING=hello"], WorkingDir="/srv/place")
    image = f"{hub.server}/tools/shell"
    live.idle_pool(dedicated=dedicated, machine=containers(image), **more)
    live.job()
    return Shop(live, image)


def test_a_task_runs_in_an_image_that_its_pool_brought(live: Live, hub: Registry) -> None:
    offered = [image for image in live.batch.list_supported_images() if image.verification_type == "verified"]
    assert all("DockerCompatible" in (image.capabilities or ()) for image in offered)
    tasks = shop(live, hub, dedicated=2)
    id = tasks.add("echo $GREETING from $AZ_BATCH_TASK_ID; id -u; echo kept >f; ls /; exit 3")
    end = tasks.end(id)
    assert end.get("exitCode") == 3, end
    assert live.output(id).splitlines()[:2] == [f"hello from {id}", "1500"]
    assert live.output(id, name="wd/f") == "kept\n"
    info = end["containerInfo"]
    assert info["state"] == "exited"
    assert len(info["containerId"]) == 64
    node = live.batch.get_task("job", id)["nodeInfo"]["nodeId"]
    names = [str(file["name"]) for file in live.batch.list_node_files("pool", node, recursive=True)]
    assert not [name for name in names if ".containers" in name]
    wait_until(lambda: not layers(live), 60, lambda: layers(live))
    answer = live.batch.send_request(HttpRequest("GET", f"{live.ready.endpoint}/metrics"))
    answer.raise_for_status()
    figures = dict(line.rsplit(" ", 1) for line in answer.text().splitlines() if "image" in line)
    took = "poolwright_image_pull_duration_seconds_count"
    assert figures[f'{took}{{outcome="pulled"}}'] == figures[f'{took}{{outcome="present"}}'] == "1.0"
    assert float(figures["poolwright_image_pull_bytes_total"]) > 100_000
    assert figures["poolwright_container_images"] == "1.0"
    unpacked = (live.data_dir / "containers" / "layers").glob("*/tree/bin/busybox")
    assert float(figures["poolwright_container_image_bytes"]) >= sum(p.stat().st_size for p in unpacked) > 0


@pytest.mark.one_service
def test_settings_of_tasks_are_in_force(live: Live, hub: Registry) -> None:
    hub.push("tools/entry", Entrypoint=["/bin/echo", "entry"], Cmd=["default"])
    tasks = shop(live, hub)
    place = {"working_directory": "containerImageDefault"}
    entry = f"{hub.server}/tools/entry"
    variables = [batch.EnvironmentSetting(name="A", value="task")]
    ids = {
        "task directory": tasks.add("pwd; echo $HOME; id -un"),
        "image directory": tasks.add("pwd", **place),
        "work dir": tasks.add("pwd", "-w /tmp", **place),
        "variables": tasks.add("echo $A $B $GREETING", "-e A=option -e B=option", environment_settings=variables),
        "entry point": tasks.plain("one 'two words'", container_settings=inside(entry)),
        "image's command": tasks.plain("", container_settings=inside(entry)),
        "other entry point": tasks.plain(
            "-c 'echo mine'",
            container_settings=inside(entry, container_run_options="--entrypoint /bin/sh"),
        ),
        "host name": tasks.add("hostname; cat /etc/hostname", "--hostname box"),
        "tmpfs": tasks.add("df -k /scratch | cat; touch /scratch/f && ls /scratch", "--tmpfs /scratch:size=1m"),
        "limits": tasks.add("ulimit -n", "--ulimit nofile=77:99"),
        "shm": tasks.add("df -k /dev/shm | cat", "--shm-size 3m"),
        "read-only": tasks.add("touch /f || echo no; echo yes >g; cat g", "--read-only"),
        "root": tasks.add("id -u; chown 7:8 /tmp; ls -ld /tmp; touch /etc/own", user_identity=ADMIN),
        "another user": tasks.add("id -u; id -g", "--user 33:34", user_identity=ADMIN),
        "network": tasks.add("cat /etc/resolv.conf /etc/hosts; echo $AZ_BATCH_NODE_ROOT_DIR", "--net host"),
        "processes": tasks.add("ps -o pid | cat"),
    }  # fmt: skip
    said = {name: tasks.said(id) for name, id in ids.items()}
    own = f"{ROOT}/workitems/job/job-1/{ids['task directory']}/wd"
    assert said["task directory"] == [own, own, "_azbatch"]
    assert said["image directory"] == ["/srv/place"]
    assert said["work dir"] == ["/tmp"]
    assert said["variables"] == ["task option hello"]
    assert said["entry point"] == ["entry one two words"]
    assert said["image's command"] == ["entry default"]
    assert said["other entry point"] == ["mine"]
    assert said["host name"] == ["box", "box"]
    assert "1024" in said["tmpfs"][1]
    assert said["tmpfs"][-1] == "f"
    assert said["limits"] == ["77"]
    assert "3072" in said["shm"][1]
    assert said["read-only"] == ["no", "yes"]
    assert said["root"][0] == "0"
    assert said["root"][1].split()[2:4] == ["7", "8"]
    assert said["another user"] == ["33", "34"]
    assert said["network"][-1] == ROOT
    assert said["processes"][1].strip() == "1", "a container sees its own processes only"


@pytest.mark.one_service
def test_what_a_container_sees_of_its_node(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub)
    mount = batch.ContainerHostBatchBindMountEntry
    shared = [mount(source="Shared", is_read_only=True), mount(source="Task")]
    written = tasks.add(f"echo data >{ROOT}/shared/data; cat {ROOT}/shared/data")
    assert tasks.said(written) == ["data"]
    seen = tasks.add(f"cat {ROOT}/shared/data; echo x >{ROOT}/shared/data || echo no; ls {ROOT}; touch f",
                     container_host_batch_bind_mounts=shared)  # fmt: skip
    assert tasks.said(seen) == ["data", "no", "shared", "workitems"]
    nothing = tasks.add("pwd; echo gone >f; head -n 1 $POOLWRIGHT_CA_FILE; ls /mnt/batch/tasks",
                        container_host_batch_bind_mounts=[])  # fmt: skip
    assert tasks.said(nothing)[-2:] == ["-----BEGIN CERTIFICATE-----", "workitems"]
    assert "wd/f" not in [file["name"] for file in live.batch.list_task_files("job", nothing, recursive=True)]
    lent = tasks.add("cat /in; cat /all/data", f"-v {ROOT}/shared/data:/in:ro -v {ROOT}/shared:/all")
    assert tasks.said(lent) == ["data", "data"]
    file = batch.ResourceFile(http_url=f"http://{hub.server}/v2/", file_path="in/file.json")
    assert tasks.said(tasks.add("cat in/file.json", resource_files=[file])) == ["{}"]
    code, message = tasks.failed(tasks.add("true", "-v /nowhere/secret:/in"))
    assert (code, "/nowhere/secret" in message) == ("ContainerInvalidSettings", True)
    hidden = f"mkdir -m 700 {ROOT}/shared/closed; mkdir -m 755 {ROOT}/shared/closed/open"
    assert tasks.said(tasks.add(hidden, user_identity=ADMIN)) == []
    beneath = f"-v {ROOT}/shared/closed/open:/in"
    assert tasks.failed(tasks.add("ls /in", beneath))[0] == "ContainerInvalidSettings"
    assert tasks.said(tasks.add("ls /in", beneath, user_identity=ADMIN)) == []
    code, message = tasks.failed(tasks.add("true", "--user root"))
    assert (code, "elevated" in message) == ("ContainerInvalidSettings", True)


@pytest.mark.one_service
def test_what_cannot_run_says_why(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub)
    nowhere = "127.0.0.1:1/tools/shell"
    ids = {
        "no such image": tasks.add("true", image=f"{hub.server}/tools/none"),
        "no such tag": tasks.add("true", image=f"{hub.server}/tools/shell:none"),
        "no registry": tasks.add("true", image=nowhere),
        "no settings": tasks.plain("/bin/true"),
        "no program": tasks.plain("/bin/nonesuch", container_settings=inside(tasks.image)),
        "no command": tasks.plain("", container_settings=inside(tasks.image)),
    }
    ends = {name: tasks.failed(id) for name, id in ids.items()}
    assert {name: code for name, (code, _) in ends.items()} == {
        "no such image": "ContainerInvalidImage",
        "no such tag": "ContainerInvalidImage",
        "no registry": "ContainerInvalidRegistry",
        "no settings": "ContainerInvalidSettings",
        "no program": "CommandProgramNotFound",
        "no command": "ContainerInvalidSettings",
    }
    assert "/bin/nonesuch" in ends["no program"][1]
    assert nowhere in ends["no registry"][1]
    created = tasks.end(ids["no command"])["containerInfo"]
    assert (created["state"], "no command" in created["error"]) == ("created", True)
    live.batch.create_job(
        batch.BatchJobCreateOptions(id="plain", pool_info=batch.BatchPoolInfo(pool_id="plain"))
    )
    live.pool("plain", dedicated=1)
    live.task("t", "true", job="plain", container_settings=inside(tasks.image))
    refused = live.wait_task("t", "completed", job="plain")["executionInfo"]["failureInfo"]
    assert (refused["category"], refused["code"]) == ("usererror", "ContainerInvalidSettings")


@pytest.mark.one_service
def test_a_pull_that_hangs_is_told_and_can_be_stopped(live: Live, hub: Registry) -> None:
    tasks = shop(live, hub)
    server, over = Faulty(), threading.Event()

    digest, empty = f"sha256:{'5' * 64}", f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    manifest = {
        "config": {"digest": empty, "size": 2},
        "layers": [{"digest": digest, "size": 2 * SENT}],
        "mediaType": MANIFEST,
    }

    def half(_: int, request: BaseHTTPRequestHandler) -> None:
        if "/manifests/" in request.path:
            faulty.answer(request, 200, json.dumps(manifest).encode(), Content_Type=MANIFEST)
        elif request.path.endswith(digest):
            faulty.answer(request, 200, b"x" * SENT, Content_Length=str(2 * SENT))
            request.wfile.flush()
            over.wait(120)
        else:
            faulty.answer(request, 200, b"{}")

    server.plan = half
    try:
        image = f"{server.url.removeprefix('http://')}/tools/never"
        id = tasks.add("true", image=image)
        wait_until(
            lambda: f"{image}: {SENT} of {2 * SENT} bytes are pulled" in live.why("jobs", "job", "tasks", id),
            60,
            lambda: live.why("jobs", "job", "tasks", id),
        )
        live.batch.terminate_task("job", id)
        end = tasks.end(id)
        assert end["failureInfo"]["code"] == "TaskEnded"
        assert "containerInfo" not in end, "there never was one"
        assert tasks.said(tasks.add("echo free")) == ["free"], "its slot is free"
    finally:
        over.set()
        server.close()


@pytest.mark.one_service
def test_a_node_without_its_pools_image_waits_for_its_user(live: Live, hub: Registry) -> None:
    image = f"{hub.server}/tools/late:v1"
    live.pool(dedicated=1, machine=containers(image))
    live.wait_nodes("pool", {"unusable": 1})
    (node,) = live.batch.list_nodes("pool")
    (error,) = node["errors"]
    assert error["code"] == "ContainerImagePullError"
    assert image in error["message"]
    assert image in live.why("pools", "pool", "nodes", str(node["id"]))
    hub.push("tools/late", tag="v1")
    live.batch.begin_reboot_node("pool", str(node["id"]), AT_ONCE, **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    live.job()
    tasks = Shop(live, image)
    assert tasks.said(tasks.add("echo here")) == ["here"]


@pytest.mark.one_service
def test_credentials_of_registries_stay_secret(live: Live, tmp_path: Path) -> None:
    password = "hush-hush-9000"
    with registry(tmp_path / "closed", ("ann", password)) as closed:
        closed.push("private/shell")
        image = f"{closed.server}/private/shell"

        def login(secret: str) -> batch.ContainerRegistryReference:
            return batch.ContainerRegistryReference(
                username="ann", password=secret, registry_server=closed.server
            )

        live.pool("wrong", dedicated=1, machine=containers(image, registries=[login("wrong" + password)]))
        live.pool("none", dedicated=1, machine=containers())
        live.idle_pool(dedicated=1, machine=containers(image, registries=[login(password)]))
        live.wait_nodes("wrong", {"unusable": 1})
        live.job()
        tasks = Shop(live, image)
        assert tasks.said(tasks.add("echo pool")) == ["pool"]
        live.wait_nodes("none", {"idle": 1})
        live.batch.create_job(
            batch.BatchJobCreateOptions(id="other", pool_info=batch.BatchPoolInfo(pool_id="none"))
        )
        live.task("denied", "true", job="other", container_settings=inside(image))
        # First this one: as with docker, an image that is on the node needs no credentials.
        live.wait_task("denied", "completed", job="other")
        own = inside(image, registry=login(password))
        live.task("allowed", "echo own", job="other", container_settings=own)
        live.wait_completed(2, "other")
        denied = live.batch.get_task("other", "denied")["executionInfo"]["failureInfo"]
        assert (denied["code"], "without credentials" in denied["message"]) == (
            "ContainerInvalidRegistry",
            True,
        )
        assert live.output("allowed", "other") == "own\n"
        told = [str(live.batch.get_pool("pool")), str(live.batch.get_pool("wrong"))]
        told += [str(task) for task in live.batch.list_tasks("other")]
        assert any("'username': 'ann'" in text for text in told)
        told += [str(node) for node in live.batch.list_nodes("wrong")]
        logs = [path.read_text(errors="replace") for path in (live.data_dir / "log").glob("*")]
        assert not [text for text in (*told, *logs, live.service.log_tail(10_000)) if password in text]
        texts = [live.data_dir / "run", live.data_dir / "nodes", live.data_dir / "containers"]
        files = [path for folder in texts for path in folder.rglob("*.json") if path.is_file()]
        assert files
        assert not [path for path in files if password in text(path)]


def test_a_registry_by_https_is_trusted_by_the_file_of_the_operator(
    live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registry(tmp_path / "secure", tls=True) as secure:
        secure.push("tools/shell")
        image = f"{secure.server}/tools/shell"
        live.pool("wary", dedicated=1, machine=containers(image))
        live.wait_nodes("wary", {"unusable": 1})
        (node,) = live.batch.list_nodes("wary")
        (error,) = node["errors"]
        assert f"the certificate of {secure.server} is not trusted by this host: " in error["message"]
        # Only its owner may read it: the half of a transfer that speaks with servers is somebody else.
        secure.ca_file.chmod(0o600)
        secure.ca_file.parent.chmod(0o700)
        with monkeypatch.context() as own:
            own.setenv("SSL_CERT_FILE", str(secure.ca_file))
            live.start_again()
        live.idle_pool(dedicated=1, machine=containers(image))
        live.job()
        tasks = Shop(live, image)
        file = batch.ResourceFile(http_url=f"https://{secure.server}/v2/", file_path="file.json")
        assert tasks.said(tasks.add("cat file.json", resource_files=[file])) == ["{}"]


def text(path: Path) -> str:
    """What is in a file; nothing once it is gone, as those of a container that has ended soon are."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""


def layers(live: Live) -> list[str]:
    """What containers left on their nodes, seen from the host."""
    nodes = live.data_dir / "nodes"
    return [str(path) for path in nodes.glob("*/temp/.containers/*")] + [
        str(path) for path in nodes.glob("*/temp/.trash/container-*")
    ]
