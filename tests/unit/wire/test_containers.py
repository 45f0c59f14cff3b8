"""Names of images, options of `docker create`, and passwords of registries that no answer holds."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from poolwright.api.batch.answers import json_answer
from poolwright.domain.containers import (
    BadImageName,
    ContainerSettings,
    PoolContainers,
    Registry,
    RunOptions,
    Volume,
    read_image_name,
    registry_for,
    registry_name,
)
from poolwright.domain.node import Failure
from poolwright.domain.states import ExecutionResult
from poolwright.wire.convert.containers import show_container
from poolwright.wire.convert.run_options import read_run_options


@dataclass(frozen=True)
class Outcome:
    """How a run went."""

    started_at: int | None = None
    ended_at: int | None = None
    exit_code: int | None = None
    failure: Failure | None = None
    result: ExecutionResult | None = None


DIGEST = "sha256:" + "0123456789abcdef" * 4
BAD = [
    "",
    ":",
    "a:",
    "UPPER/x",
    "a//b",
    "a/../b",
    "a@sha256:12",
    "-a",
    "a:-b",
    "a b",
    "a.b:99999999/x",
    "https://a.b/c",
]


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("debian:12", "docker.io/library/debian:12"),
        ("lab/tool", "docker.io/lab/tool:latest"),
        ("index.docker.io/lab/tool", "docker.io/lab/tool:latest"),
        ("localhost/tool", "localhost/tool:latest"),
        ("127.0.0.1:5000/a/b-c__d:v1.2", "127.0.0.1:5000/a/b-c__d:v1.2"),
        ("Lab.Example:443/x", "lab.example:443/x:latest"),
        (f"lab.example/x@{DIGEST}", f"lab.example/x@{DIGEST}"),
        (f"lab.example/x:v1@{DIGEST}", f"lab.example/x:v1@{DIGEST}"),
    ],
)
def test_names_have_the_defaults_of_docker(given: str, whole: str) -> None:
    assert str(read_image_name(given)) == whole
    assert read_image_name(whole).key == read_image_name(given).key


@pytest.mark.parametrize("text", [*BAD, f"a@{DIGEST}0", "x" * 300])
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(BadImageName):
        read_image_name(text)


def test_a_digest_wins_over_a_tag() -> None:
    assert read_image_name(f"a/b:v1@{DIGEST}").version == DIGEST
    assert read_image_name("a/b:v1").version == "v1"


def test_credentials_go_to_their_own_registry_only() -> None:
    own, hub = Registry("lab.example", "u", "p"), Registry("docker.io", "h", "p")
    pool = PoolContainers((), (own, hub))
    assert registry_for(read_image_name("lab.example/x"), None, pool) is own
    assert registry_for(read_image_name("debian"), None, pool) is hub
    assert registry_for(read_image_name("other.example/x"), None, pool) is None
    task = ContainerSettings("lab.example/x", registry=Registry("lab.example", "t", "p"))
    assert registry_for(read_image_name("lab.example/x"), task, pool) is task.registry
    assert registry_name("HTTPS://Lab.Example/v2/") == "lab.example"
    assert "secret" not in repr(Registry("a", "u", "secret"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("--rm", RunOptions()),
        ("-w /a//b/ --user=12:13 -h box", RunOptions(work_dir="/a/b", user="12:13", hostname="box")),
        ("-eA=1 --env 'B=x y'", RunOptions(environment=(("A", "1"), ("B", "x y")))),
        ("--entrypoint ''", RunOptions(entrypoint="")),
        ("-v /a:/b:ro -v /c:/d", RunOptions(volumes=(Volume("/b", "/a", True), Volume("/d", "/c")))),
        (
            "--mount type=bind,src=/a,dst=/b,readonly --tmpfs /t:size=1m",
            RunOptions(volumes=(Volume("/b", "/a", True), Volume("/t", None, False, 1024**2))),
        ),
        ("--mount type=tmpfs,target=/t", RunOptions(volumes=(Volume("/t"),))),
        ("--ulimit nofile=10:20 --ulimit core=-1", RunOptions(limits=(("nofile", 10, 20), ("core", -1, -1)))),
        ("--shm-size 2g --read-only --ipc=private", RunOptions(shm_bytes=2 * 1024**3, read_only=True)),
        ("--ipc host --net=host --network host", RunOptions(shares_ipc=True)),
    ],
)
def test_options_mean_what_they_mean_to_docker(text: str, wanted: RunOptions) -> None:
    assert read_run_options(text, "containerRunOptions") == wanted


def test_answers_hold_no_password() -> None:
    registry = {"username": "ann", "password": "hush", "registryServer": "lab.example"}
    shown = json.loads(json_answer({"value": [{"a": {"registry": registry}}, {"b": (registry,)}]}).body)
    public = {"username": "ann", "registryServer": "lab.example"}
    assert shown == {"value": [{"a": {"registry": public}}, {"b": [public]}]}
    plain = {"text": 'a "password" in a text', "n": 1}
    assert json.loads(json_answer(plain).body) == plain


@pytest.mark.parametrize(
    ("run", "state"),
    [
        (Outcome(), None),
        (Outcome(1), "running"),
        (Outcome(1, 2, exit_code=3), "exited"),
        (Outcome(1, 2, failure=Failure("usererror", "ContainerInvalidImage", "why")), "created"),
        (Outcome(1, 2, failure=Failure("usererror", "TaskEnded", "asked")), None),
        (Outcome(1, 2, failure=Failure("usererror", "BlobNotFound", "file")), None),
        (Outcome(1, 2, exit_code=137, failure=Failure("usererror", "TaskEnded", "asked")), "exited"),
    ],
)
def test_containers_are_shown_where_there_was_one(run: Outcome, state: str | None) -> None:
    shown = show_container(run, ContainerSettings("a"), "exec")
    assert (shown["containerInfo"]["state"] if shown else None) == state
    if state == "created":
        assert shown["containerInfo"] == {"state": "created", "error": "why"}
    assert show_container(run, None, "exec") == {}
