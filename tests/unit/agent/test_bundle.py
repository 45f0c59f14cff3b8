"""What the container runtime is told, from what the service, the image and the task's user say."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from poolwright.agent import seccomp
from poolwright.agent.bundle import SettingsRefused, arguments, configuration, environment, user
from poolwright.agent.users import ROOT, Identity

ANN = Identity("_azbatch", 1500, 1500, "/home/_azbatch", (1500, 7))
IMAGE = {
    "environment": ["PATH=/image/bin", "A=image", "B=image", "C=image"],
    "entrypoint": ["/entry"],
    "command": ["default", "words"],
    "directory": "/srv",
}
TASK = "/mnt/batch/tasks/workitems/j/job-1/t"


def made(container: dict[str, Any], identity: Identity = ANN, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"words": ["x"], "own": {}, "directory": TASK, "bundle": "/b", "accounts": ""}
    return configuration(container, IMAGE, identity=identity, **{**given, **more})


def targets(configuration: dict[str, Any]) -> dict[str, Any]:
    return {mount["destination"]: mount for mount in configuration["mounts"]}


def test_variables_of_the_service_win_over_options_and_image() -> None:
    container = {"environment": [["B", "option"], ["C", "option"]]}
    found = environment(container, IMAGE, {"C": "task"}, "/home")
    assert found == {"PATH": "/image/bin", "HOME": "/home", "A": "image", "B": "option", "C": "task"}
    assert environment({}, {}, {}, "/")["PATH"].startswith("/usr/local/sbin:")


def test_the_command_takes_the_place_of_the_images_own() -> None:
    assert arguments({}, IMAGE, ["a", "b"]) == ["/entry", "a", "b"]
    assert arguments({}, IMAGE, []) == ["/entry", "default", "words"]
    assert arguments({"entrypoint": "/other"}, IMAGE, ["a"]) == ["/other", "a"]
    assert arguments({"entrypoint": ""}, IMAGE, ["a"]) == ["a"]
    assert arguments({"entrypoint": "/other"}, IMAGE, []) == ["/other"]
    with pytest.raises(SettingsRefused, match="no command of its own"):
        arguments({}, {}, [])


def test_only_an_elevated_task_is_another_user() -> None:
    accounts = "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/:/bin/sh\n"
    assert user({}, ANN, accounts) == (1500, 1500, [7])
    assert user({"user": "1500:1500"}, ANN, accounts)[:2] == (1500, 1500)
    assert user({"user": "_azbatch"}, ANN, accounts)[:2] == (1500, 1500)
    for other in ("root", "0", "web", "1500:0"):
        with pytest.raises(SettingsRefused, match="elevated userIdentity"):
            user({"user": other}, ANN, accounts)
    assert user({"user": "web"}, ROOT, accounts)[:2] == (33, 34)
    assert user({"user": "5:6"}, ROOT, accounts)[:2] == (5, 6)
    for unknown in ("nobody-here", "70000"):
        with pytest.raises(SettingsRefused, match="no such user"):
            user({"user": unknown}, ROOT, accounts)


def test_an_ordinary_task_can_gain_no_rights() -> None:
    process = made({})["process"]
    assert process["noNewPrivileges"]
    assert not any(process["capabilities"].values())
    root = made({}, ROOT)["process"]
    assert "CAP_CHOWN" in root["capabilities"]["effective"]
    assert "CAP_SYS_ADMIN" not in root["capabilities"]["bounding"]
    assert made({"user": "5:6"}, ROOT)["process"]["capabilities"]["effective"] == []


def test_where_the_process_begins() -> None:
    assert made({})["process"]["cwd"] == f"{TASK}/wd"
    assert made({"image_directory": True})["process"]["cwd"] == "/srv"
    assert made({"image_directory": True, "work_dir": "/x"})["process"]["cwd"] == "/x"


def test_what_is_seen_of_the_node() -> None:
    assert targets(made({}))["/mnt/batch/tasks"]["options"] == ["rbind", "rprivate"]
    nothing = targets(made({"mounts": []}))
    assert "/mnt/batch/tasks" not in nothing
    assert nothing[f"{TASK}/wd"]["type"] == "tmpfs"
    some = targets(made({"mounts": [["/mnt/batch/tasks/shared", True], [TASK, False]]}))
    assert "ro" in some["/mnt/batch/tasks/shared"]["options"]
    assert TASK in some
    assert f"{TASK}/wd" not in some
    certificates = targets(made({"certificates": "/mnt/batch/certs/task"}))["/mnt/batch/certs/task"]
    assert "ro" in certificates["options"]
    volumes = [["/data", "/srv/x", True, None], ["/t", None, False, 4096]]
    more = targets(made({"volumes": volumes}))
    assert (more["/data"]["source"], more["/t"]["type"]) == ("/b/volume0", "tmpfs")
    assert "ro" in more["/data"]["options"]
    assert "size=4096" in more["/t"]["options"]


def test_memory_is_shared_with_the_node_only_by_wish() -> None:
    assert targets(made({"shm_bytes": 4096}))["/dev/shm"]["options"][-1] == "size=4096"
    shared = made({"shares_ipc": True})
    assert "/dev/shm" not in targets(shared)
    assert {"type": "ipc"} not in shared["linux"]["namespaces"]
    with pytest.raises(SettingsRefused, match="--shm-size"):
        made({"shares_ipc": True, "shm_bytes": 4096})


def test_limits_and_host_name() -> None:
    found = made({"limits": [["nofile", 5, -1]], "hostname": "box", "read_only": True})
    assert found["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}]
    assert (found["hostname"], found["root"]["readonly"]) == ("box", True)
    assert {"type": "uts"} in found["linux"]["namespaces"]


def test_system_calls_are_refused_unless_an_elevated_task_wants_all() -> None:
    (names, *others) = made({})["linux"]["seccomp"]["syscalls"]
    assert {"mount", "keyctl", "bpf", "kexec_load", "userfaultfd", "unshare"} <= set(names["names"])
    assert (names["action"], names["errnoRet"]) == ("SCMP_ACT_ERRNO", errno.EPERM)
    assert {name for one in others for name in one["names"]} == {"clone", "clone3", "ptrace"}
    assert made({}, ROOT)["linux"]["seccomp"] == made({})["linux"]["seccomp"]
    assert "seccomp" not in made({"unconfined": True}, ROOT)["linux"]
    with pytest.raises(SettingsRefused, match=r"seccomp=unconfined: only .* elevated"):
        made({"unconfined": True})


def test_the_profile_is_for_the_processor() -> None:
    assert seccomp.profile("x86_64")["architectures"][0] == "SCMP_ARCH_X86_64"
    assert seccomp.profile("aarch64")["architectures"][0] == "SCMP_ARCH_AARCH64"
    assert "architectures" not in seccomp.profile("riscv64")


def test_files_that_tell_whom_to_trust_are_seen_whatever_is_mounted() -> None:
    authority, whole = "/mnt/batch/tasks/.authority.pem", "/mnt/batch/tasks/.trust.pem"
    own = {"POOLWRIGHT_CA_FILE": authority, "SSL_CERT_FILE": whole, "CURL_CA_BUNDLE": "/mine.pem"}
    assert not {authority, whole} & targets(made({}, own=own)).keys(), "the whole root is"
    found = targets(made({"mounts": []}, own=own))
    assert found[authority] == found[whole] | {"destination": authority, "source": authority}
    assert "ro" in found[whole]["options"]
    assert whole not in targets(made({"mounts": []}, own={**own, "SSL_CERT_FILE": "/mine.pem"}))
    assert "/mine.pem" not in found
