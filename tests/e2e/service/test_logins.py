"""People log in to nodes by SSH, whatever the image has for it, and no longer than they may."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until

pytestmark = pytest.mark.one_service

PASSWORD = "correct horse battery"
INSTALL = (
    '/bin/sh -c \'export DEBIAN_FRONTEND=noninteractive; command -v sshd && exit 0; printf "#!/bin/sh\\nexit 101\\n"'
    " >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; timeout 60 apt-get -q update &&"
    " timeout 60 apt-get -qy install --no-install-recommends openssh-server sudo'"
)
ADMIN = batch.UserIdentity(auto_user=batch.AutoUserSpecification(elevation_level="admin"))


class Ssh:
    """The host's own client, as one user of one node."""

    def __init__(self, live: Live, directory: Path) -> None:
        self.live = live
        self.key = directory / "id"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.public = self.key.with_suffix(".pub").read_text()
        self.node = str(next(iter(live.batch.list_nodes("pool")))["id"])
        self.said = ""

    def run(self, user: str, command: str, password: str | None = None) -> subprocess.CompletedProcess[str]:
        """One command over one connection."""
        way = self.live.batch.get_node_remote_login_settings("pool", self.node)
        options = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
        options += ["-oConnectTimeout=10", "-F", "none", "-oIdentityAgent=none"]
        environment = {"PATH": "/usr/bin:/bin"}
        if password is None:
            options += ["-i", str(self.key), "-oPreferredAuthentications=publickey", "-oIdentitiesOnly=yes"]
        else:
            helper = self.key.with_name("ask")
            helper.write_text(f"#!/bin/sh\necho '{password}'\n")
            helper.chmod(0o700)
            options += ["-oPreferredAuthentications=password", "-oNumberOfPasswordPrompts=1"]
            environment |= {"SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force"}
        target = [f"{user}@{way.remote_login_ip_address}", "-p", str(way.remote_login_port), command]
        done = subprocess.run(
            ["ssh", *options, *target],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        self.said = f"{done.returncode}: {done.stdout} {done.stderr}"
        return done

    def until(self, works: bool, user: str, password: str | None = None) -> None:
        """Wait until the user can (or cannot) log in."""
        wait_until(
            lambda: (self.run(user, "true", password).returncode == 0) is works,
            60,
            lambda: f"{self.said}\n{self.live.service.log_tail()}",
        )


def test_users_log_in_to_an_image_without_a_server(live: Live, tmp_path: Path) -> None:
    programs = " ".join(f"/usr/sbin/{name}" for name in ("useradd", "usermod", "userdel", "chpasswd"))
    start = batch.BatchStartTask(command_line=f"/bin/rm -f {programs}", user_identity=ADMIN)
    live.idle_pool(dedicated=1, start_task=start)
    ssh = Ssh(live, tmp_path)
    user = batch.BatchNodeUserCreateOptions(name="visitor", ssh_public_key=ssh.public)
    live.batch.create_node_user("pool", ssh.node, user)
    with pytest.raises(HttpResponseError, match="NodeUserExists"):
        live.batch.create_node_user("pool", ssh.node, user)
    ssh.until(True, "visitor")
    sleeper = ssh.run("visitor", "nohup sleep 300 >/dev/null 2>&1 & echo $!").stdout.strip()
    live.job()
    live.task("passes", "/bin/true")
    live.wait_completed(1)
    alive = ssh.run("visitor", f"kill -0 {sleeper} && echo lives").stdout
    assert "lives" in alive, "the end of a task ends neither the server nor what people run"
    said = ssh.run("visitor", "env; command -v sshd; pwd; cat /etc/hostname; tty").stdout
    assert "AZ_BATCH" not in said
    assert "LD_LIBRARY_PATH" not in said, "what the server needs is nothing for its users"
    assert "sshd" not in said, "the image has none of its own"
    assert "/home/visitor" in said
    plain = batch.BatchNodeUserCreateOptions(name="helper", password=PASSWORD)
    live.batch.create_node_user("pool", ssh.node, plain)
    ssh.until(True, "helper", PASSWORD)
    assert ssh.run("helper", "true", "wrong").returncode != 0
    assert ssh.run("helper", "true").returncode != 0, "it has no key"

    live.batch.replace_node_user(
        "pool", ssh.node, "helper", batch.BatchNodeUserReplaceOptions(password="other one")
    )
    ssh.until(True, "helper", "other one")
    assert ssh.run("helper", "true", PASSWORD).returncode != 0
    live.batch.begin_reboot_node("pool", ssh.node, Reboot(node_reboot_kind="requeue"), **POLL).result()
    live.wait_nodes("pool", {"idle": 1}, 120)
    ssh.until(True, "visitor")
    live.batch.delete_node_user("pool", ssh.node, "visitor")
    ssh.until(False, "visitor")
    left = ssh.run("helper", "grep visitor /etc/passwd; ls -A /home", "other one").stdout.split()
    assert "helper" in left
    assert "visitor" not in left
    with pytest.raises(HttpResponseError, match="NodeUserNotFound"):
        live.batch.delete_node_user("pool", ssh.node, "visitor")
    soon = datetime.now(UTC) + timedelta(seconds=4)
    short = batch.BatchNodeUserCreateOptions(name="guest", ssh_public_key=ssh.public, expiry_time=soon)
    live.batch.create_node_user("pool", ssh.node, short)
    ssh.until(True, "guest")
    ssh.until(False, "guest")
    assert PASSWORD not in _everything_written(live), "a password was kept or logged in clear"


def test_an_administrator_is_root_of_the_node_without_sudo_and_only_there(live: Live, tmp_path: Path) -> None:
    live.idle_pool(dedicated=1)
    ssh = Ssh(live, tmp_path)
    chief = batch.BatchNodeUserCreateOptions(name="chief", ssh_public_key=ssh.public, is_admin=True)
    live.batch.create_node_user("pool", ssh.node, chief)
    live.batch.create_node_user(
        "pool", ssh.node, batch.BatchNodeUserCreateOptions(name="other", password=PASSWORD, is_admin=True)
    )
    ssh.until(True, "chief")
    ssh.until(True, "other", PASSWORD)
    what = "command -v sudo; id -u; touch /etc/by-chief ~/mine; pwd; cat /proc/self/uid_map; cat /etc/shadow | wc -l"
    said = ssh.run("chief", what).stdout.split()
    assert said[:2] == ["0", "/home/chief"], ssh.said
    assert said[2:4] == ["0", "100000"], "root of the node is an ordinary user of the host"
    assert ssh.run("chief", "echo 1 > /proc/sys/kernel/sysrq").returncode != 0
    assert ssh.run("root", "true").returncode != 0, "the image's own root has no way in"
    assert ssh.run("chief", "setsid sleep 7137 >/dev/null 2>&1 &").returncode == 0

    live.batch.delete_node_user("pool", ssh.node, "chief")
    plain = batch.BatchNodeUserCreateOptions(name="chief", ssh_public_key=ssh.public)
    live.batch.create_node_user("pool", ssh.node, plain)
    count = "ls -ln /etc/by-chief | cut -d' ' -f3; ps -eo args | grep -c '^sleep 713[7]'"

    def seen() -> list[str]:
        return ssh.run("other", f"id -u chief; {count}", PASSWORD).stdout.split()

    wait_until(lambda: seen()[:1] not in ([], ["0"]), 60, lambda: ssh.said)
    [number, *rest] = seen()
    assert int(number) >= 10_000
    assert (rest[0], rest[-1]) == ("0", "0"), "what it made as root remains; its processes are gone"
    assert ssh.run("chief", "id -u; touch /etc/again").stdout.split() == [number]
    assert "Permission denied" in ssh.said

    live.batch.delete_node_user("pool", ssh.node, "other")
    ssh.until(False, "other", PASSWORD)
    assert live.states() == {"idle": 1}, "nothing else that is root ended with it"
    assert not live.batch.get_node("pool", ssh.node).get("errors")


def test_accounts_of_a_pool_go_from_node_to_node(live: Live, tmp_path: Path) -> None:
    key = tmp_path / "travel"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(key)], check=True)
    linux = batch.LinuxUserConfiguration(ssh_private_key=key.read_text())
    accounts = [
        batch.UserAccount(name="rank", password=PASSWORD, linux_user_configuration=linux),
        batch.UserAccount(name="other", password=PASSWORD),
    ]
    live.idle_pool(dedicated=1, enable_inter_node_communication=True, user_accounts=accounts)
    (node,) = live.batch.list_nodes("pool")
    assert "PRIVATE" not in str(live.batch.get_pool("pool").as_dict())
    options = [
        "-i",
        str(key),
        "-oStrictHostKeyChecking=no",
        "-oUserKnownHostsFile=/dev/null",
        "-oBatchMode=yes",
    ]
    options += ["-oLogLevel=ERROR", "-F", "none", "-oIdentityAgent=none", "-oConnectTimeout=10"]

    def go(user: str) -> subprocess.CompletedProcess[str]:
        script = "id -un; cat .ssh/id_rsa .ssh/authorized_keys"
        return subprocess.run(
            ["ssh", *options, f"{user}@{node['ipAddress']}", script],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    wait_until(lambda: go("rank").returncode == 0, 60, lambda: f"{go('rank')}\n{live.service.log_tail()}")
    said = go("rank").stdout.splitlines()
    assert said[0] == "rank"
    assert said[1:-1] == key.read_text().splitlines(), "every node has the pair, to go on with"
    assert said[-1].split()[:2] == key.with_suffix(".pub").read_text().split()[:2]
    assert go("other").returncode != 0, "no key pair, no way in"


def test_an_image_with_a_server_and_sudo_uses_its_own(live: Live, tmp_path: Path) -> None:
    start = batch.BatchStartTask(
        command_line=INSTALL, wait_for_success=True, user_identity=ADMIN, max_task_retry_count=3
    )
    live.pool(dedicated=1, start_task=start)
    wait_until(lambda: live.states() == {"idle": 1}, 300, lambda: _of_start_task(live))
    ssh = Ssh(live, tmp_path)
    user = batch.BatchNodeUserCreateOptions(name="visitor", ssh_public_key=ssh.public, is_admin=True)
    live.batch.create_node_user("pool", ssh.node, user)
    ssh.until(True, "visitor")
    server = "cat /proc/$PPID/comm; sudo -n id -u; sudo -n readlink /proc/$(cat /var/lib/poolwright-login/sshd.pid)/exe"
    assert ssh.run("visitor", server).stdout.split() == ["sshd", "0", "/usr/sbin/sshd"], ssh.said


def _of_start_task(live: Live) -> str:
    """What the installation said, for a failure."""
    node = str(next(iter(live.batch.list_nodes("pool")))["id"])
    names = ("startup/stdout.txt", "startup/stderr.txt")
    said = (b"".join(live.batch.download_node_file("pool", node, name)).decode()[-2000:] for name in names)
    return f"{live.states()}\n" + "\n".join(said)


def _everything_written(live: Live) -> str:
    files = [live.service.log_file, *live.data_dir.glob("store/*"), *live.data_dir.glob("run/*.log")]
    return "".join(file.read_bytes().decode("latin-1") for file in files if file.is_file())
