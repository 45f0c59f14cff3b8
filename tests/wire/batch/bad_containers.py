"""Container configurations and settings that are refused; rows as in bad_bodies.py."""

from __future__ import annotations

from typing import Any

from tests.wire.batch.bad_storage import MACHINE

INVALID, MISSING, UNSUPPORTED = "InvalidPropertyValue", "MissingRequiredProperty", "UnsupportedProperty"
POOL = "virtualMachineConfiguration.containerConfiguration"
TASK = "containerSettings"
OPTIONS = f"{TASK}.containerRunOptions"
LOGIN = {"username": "ann", "password": "hush"}


def pool(**given: Any) -> dict[str, Any]:
    configuration = {"type": "dockerCompatible", **given}
    return {"virtualMachineConfiguration": {**MACHINE, "containerConfiguration": configuration}}


def task(image: str = "debian", **given: Any) -> dict[str, Any]:
    return {"containerSettings": {"imageName": image, **given}}


CONTAINER_POOLS = [
    (pool(type=None), MISSING, f"{POOL}.type"),
    (pool(type="lxc"), INVALID, f"{POOL}.type"),
    (pool(containerImageNames=["debian", "Upper/Case"]), INVALID, f"{POOL}.containerImageNames[1]"),
    (pool(containerImageNames=["x"] * 101), INVALID, f"{POOL}.containerImageNames"),
    (pool(containerRegistries=[{"username": "ann"}]), MISSING, f"{POOL}.containerRegistries[0].password"),
    (pool(containerRegistries=[{"password": "hush"}]), MISSING, f"{POOL}.containerRegistries[0].username"),
    (
        pool(containerRegistries=[{**LOGIN, "registryServer": "a b"}]),
        INVALID,
        f"{POOL}.containerRegistries[0].registryServer",
    ),
    (
        pool(containerRegistries=[LOGIN, {**LOGIN, "registryServer": "https://index.docker.io/v1"}]),
        INVALID,
        f"{POOL}.containerRegistries[1].registryServer",
    ),
    (
        pool(containerRegistries=[{**LOGIN, "registryServer": "a.b/c"}]),
        INVALID,
        f"{POOL}.containerRegistries[0].registryServer",
    ),
    (
        pool(containerRegistries=[{"registryServer": "a.b", "identityReference": {"resourceId": "/i"}}]),
        UNSUPPORTED,
        f"{POOL}.containerRegistries[0].identityReference",
    ),
]
CONTAINER_TASKS = [
    (
        task(registry={"registryServer": "a.b", "identityReference": {"resourceId": "/i"}}),
        UNSUPPORTED,
        f"{TASK}.registry.identityReference",
    ),
    (task(containerRunOptions="--security-opt seccomp=mine.json"), INVALID, OPTIONS),
    (task(containerRunOptions="--security-opt no-new-privileges"), INVALID, OPTIONS),
    ({"containerSettings": {}}, MISSING, f"{TASK}.imageName"),
    (task(""), INVALID, f"{TASK}.imageName"),
    (task("debian:bad tag"), INVALID, f"{TASK}.imageName"),
    (task("debian@sha256:123"), INVALID, f"{TASK}.imageName"),
    (task("a..b/c"), INVALID, f"{TASK}.imageName"),
    (task(registry={"username": "ann"}), MISSING, f"{TASK}.registry.password"),
    (task(registry={**LOGIN, "password": "a\nb"}), INVALID, f"{TASK}.registry.password"),
    (task(registry={**LOGIN, "registryServer": "else.where"}), INVALID, f"{TASK}.registry.registryServer"),
    (task(workingDirectory="home"), INVALID, f"{TASK}.workingDirectory"),
    (
        task(containerHostBatchBindMounts=[{"source": "Root"}]),
        INVALID,
        f"{TASK}.containerHostBatchBindMounts[0].source",
    ),
    (
        task(containerHostBatchBindMounts=[{"isReadOnly": True}]),
        MISSING,
        f"{TASK}.containerHostBatchBindMounts[0].source",
    ),
    (
        task(containerHostBatchBindMounts=[{"source": "Task"}, {"source": "Task"}]),
        INVALID,
        f"{TASK}.containerHostBatchBindMounts[1].source",
    ),
    *[
        (task(containerRunOptions=text), code, OPTIONS)
        for text, code in (
            ("--privileged", UNSUPPORTED),
            ("--gpus all", UNSUPPORTED),
            ("-p 80:80", UNSUPPORTED),
            ("--cap-add=SYS_ADMIN", UNSUPPORTED),
            ("--unheard-of", UNSUPPORTED),
            ("--rm debian", INVALID),
            ("--rm=false", INVALID),
            ("--workdir", INVALID),
            ("--workdir relative", INVALID),
            ("--workdir /a/../b", INVALID),
            ("-e NAME", INVALID),
            ("-v name:/data", INVALID),
            ("-v /a:/b:rx", INVALID),
            ("-v /a:/b -v /c:/b", INVALID),
            ("--mount type=volume,source=x,target=/y", INVALID),
            ("--network bridge", INVALID),
            ("--shm-size much", INVALID),
            ("--ulimit files=3", INVALID),
            ("--ulimit nofile=9:3", INVALID),
            ("--hostname -x-", INVALID),
            ("'open quote", INVALID),
        )
    ],
]
