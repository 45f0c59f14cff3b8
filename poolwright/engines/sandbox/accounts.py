"""The script that gives a machine its login accounts, by writing its account files.

Runs in the machine as its root, as often as the accounts change; everything it needs is in its text, which is no
program's argument, so hashes show nowhere. Of the image it needs a shell and the small programs every system has, no
account programs. An administrator becomes root by the image's sudo; where there is none, the account is another name
of the machine's root, which is an ordinary user of the host. The SSH server is the image's own; an image without one
uses that of the service, which every node sees at the same place.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from poolwright.agent.layout import CERTIFICATES, LOGIN_FIRST_UID, LOGIN_KIT, LOGIN_STATE
from poolwright.engines.base import Login

NO_SERVER = 71

_REFUSALS = {
    NO_SERVER: "The image has no SSH server: install openssh-server into it and make the pool anew.",
    73: "A user has the name of an account that belongs to the image: choose another name.",
    75: "The image's SSH server does not start: its port 22 may be taken by another program, or forbidden by the host.",
}

_HEAD = f"""\
set -eu
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
state=/{LOGIN_STATE}
kit=/{LOGIN_KIT}
certificates=/{CERTIFICATES}/remoteuser
first={LOGIN_FIRST_UID}
sshd=$(command -v sshd) || sshd=$kit/sshd
[ -x "$sshd" ] || exit {NO_SERVER}
"""

_TOOLS = """\
keygen=ssh-keygen
libraries=
if [ "$sshd" = "$kit/sshd" ]; then
    keygen="env LD_LIBRARY_PATH=$kit/lib $kit/ssh-keygen"
    libraries=$kit/lib
fi
umask 022
mkdir -p "$state/keys" /run/sshd
touch "$state/users"

known() { grep -q "^$1:" /etc/passwd; }

uid_of() { grep "^$1:" /etc/passwd | head -n 1 | cut -d: -f3; }

write() { # file, name, its new line or nothing: the file is replaced in one step, mode and owner stay
    if [ ! -e "$1" ]; then (umask 077; : >"$1"); fi
    cp -p "$1" "$1.poolwright"
    { grep -v "^$2:" "$1" || :; if [ -n "$3" ]; then printf '%s\n' "$3"; fi; } >"$1.poolwright"
    mv -f "$1.poolwright" "$1"
}

enter() { # name, least number (0: another name of root), home, shell
    number=$2
    group=
    if [ "$number" != 0 ]; then
        while cut -d: -f3 /etc/passwd /etc/group | grep -qx "$number"; do number=$((number + 1)); done
        group="$1:x:$number:"
    fi
    write /etc/group "$1" "$group"
    write /etc/shadow "$1" "$1:*:$days:0:99999:7:::"
    write /etc/passwd "$1" "$1:x:$number:$number::$3:$4"
}

days=$(($(date +%s) / 86400))
# The server gives up its rights to this account while it does not know yet who is there.
known sshd || enter sshd 300 /run/sshd /usr/sbin/nologin

ours() { grep -qx -- "$1" "$state/users"; }

begun_by() { # process, name: whether a login of this name began it, or serves it
    if tr '\0' '\n' <"$1/environ" | grep -qx -- "LOGNAME=$2"; then return 0; fi
    tr '\0' ' ' <"$1/cmdline" | grep -q -- "^sshd[^ ]*: $2[@ ]"
}

end_of() { # name, number: every process of a user; of another name of root, those that its logins began
    for process in /proc/[0-9]*; do
        if [ "$(stat -c %u "$process" 2>/dev/null)" != "$2" ]; then continue; fi
        if [ "$2" = 0 ] && ! begun_by "$process" "$1" 2>/dev/null; then continue; fi
        kill -9 "${process#/proc/}" 2>/dev/null || :
    done
}

forget() {
    uid=$(uid_of "$1")
    rm -f "$state/keys/$1" "/etc/sudoers.d/poolwright-$1"
    for file in /etc/passwd /etc/shadow /etc/group; do write "$file" "$1" ""; done
    if [ -n "$uid" ]; then end_of "$1" "$uid"; fi
    rm -rf "/home/$1"
    grep -vx -- "$1" "$state/users" >"$state/users.new" || :
    mv "$state/users.new" "$state/users"
}

certify() { # name: its own copies of what people may see, in place of those of an earlier life of the node
    rm -rf "$state/certs.new" "/home/$1/certs"
    if [ -n "$(ls -A "$certificates" 2>/dev/null)" ]; then
        (umask 077; cp -R "$certificates" "$state/certs.new")
        uid=$(uid_of "$1")
        chown -R "$uid:$uid" "$state/certs.new"
        mv -fT "$state/certs.new" "/home/$1/certs"
    fi
}

settle() { # name, least number: the account, new where it is not root as wanted, or is
    uid=$(uid_of "$1")
    if [ -n "$uid" ] && [ "$((uid > 0))" = "$(($2 > 0))" ]; then return 0; fi
    shell=/bin/sh
    if [ -x /bin/bash ]; then shell=/bin/bash; fi
    enter "$1" "$2" "/home/$1" "$shell"
    if [ -n "$uid" ]; then end_of "$1" "$uid"; fi
    uid=$(uid_of "$1")
    if [ -d "/home/$1" ]; then chown -R "$uid:$uid" "/home/$1"; fi
}

give() { # name, admin
    if known "$1"; then ours "$1" || exit 73; fi
    ours "$1" || echo "$1" >>"$state/users"
    least=$first
    if [ "$2" = yes ] && { [ "$(uid_of "$1")" = 0 ] || ! command -v sudo >/dev/null; }; then least=0; fi
    settle "$1" "$least"
    if [ "$least" = 0 ]; then roots="$roots $1"; fi
    if [ ! -d "/home/$1" ]; then
        mkdir -p /home
        mkdir -m 700 "/home/$1"
        if [ -d /etc/skel ]; then cp -R /etc/skel/. "/home/$1/"; fi
        uid=$(uid_of "$1")
        chown -R "$uid:$uid" "/home/$1"
    fi
    certify "$1"
    if [ "$2" = yes ] && [ "$least" != 0 ]; then
        mkdir -p /etc/sudoers.d
        (umask 337; echo "$1 ALL=(ALL:ALL) NOPASSWD:ALL" >"$state/sudo.new")
        mv -f "$state/sudo.new" "/etc/sudoers.d/poolwright-$1"
    else
        rm -f "/etc/sudoers.d/poolwright-$1"
    fi
}
roots=
"""

_SERVER = """\
cat >"$state/sshd_config" <<CONFIG
Port 22
HostKey $state/host_ed25519
PidFile $state/sshd.pid
AuthorizedKeysFile $state/keys/%u
PubkeyAuthentication yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin no
UsePAM no
UseDNS no
ClientAliveInterval 60
X11Forwarding no
AllowUsers $wanted $kept
Subsystem sftp internal-sftp
CONFIG
part() { # a program of newer servers, and the setting that names it
    if [ -n "$libraries" ] && [ -x "$kit/$1" ]; then echo "$2 $kit/$1" >>"$state/sshd_config"; fi
}
part sshd-session SshdSessionPath
part sshd-auth SshdAuthPath
if [ -n "$roots" ]; then
    cat >>"$state/sshd_config" <<CONFIG
Match User $(echo $roots | tr ' ' ,)
    PermitRootLogin yes
CONFIG
fi
if [ -n "$kept" ]; then
    cat >>"$state/sshd_config" <<CONFIG
Match User $(echo "$kept" | tr ' ' ,)
    AuthorizedKeysFile .ssh/authorized_keys
    PasswordAuthentication no
CONFIG
fi
if [ ! -s "$state/host_ed25519" ]; then $keygen -q -t ed25519 -N '' -f "$state/host_ed25519"; fi
if runs; then
    kill -HUP "$pid"
else
    rm -f "$state/sshd.pid"
    env -i PATH="$PATH" ${libraries:+LD_LIBRARY_PATH="$libraries"} "$sshd" -f "$state/sshd_config" || exit 75
    tries=0
    until [ -s "$state/sshd.pid" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 50 ]; then exit 75; fi
        sleep 0.1
    done
fi
"""

_NO_SERVER = """\
if runs; then kill "$pid"; fi
rm -f "$state/sshd.pid"
"""

_RUNS = """\
pid=$(cat "$state/sshd.pid" 2>/dev/null || :)
runs() { [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]; }
"""


def script(logins: Sequence[Login]) -> list[str]:
    """The lines of the script that leaves just these accounts. Names must have been checked by the caller."""
    people = [login for login in logins if not login.kept]
    wanted = " ".join(login.name for login in people)
    kept = " ".join(login.name for login in logins if login.kept)
    lines = [
        _HEAD,
        _TOOLS,
        f"wanted={shlex.quote(wanted)}",
        f"kept={shlex.quote(kept)}",
        'for name in $(cat "$state/users"); do',
        '    case " $wanted " in *" $name "*) ;; *) forget "$name" ;; esac',
        "done",
    ]
    for login in people:
        name = shlex.quote(login.name)
        lines.append(f"give {name} {'yes' if login.admin else 'no'}")
        if login.public_key is None:
            lines.append(f'rm -f "$state/keys/"{name}')
        else:
            lines.append(f"printf '%s\\n' {shlex.quote(login.public_key)} >\"$state/keys/\"{name}")
    for login in people:
        shadow = f"{login.name}:{login.password_hash or '*'}:"
        lines.append(f'write /etc/shadow {login.name} {shlex.quote(shadow)}"$days:0:99999:7:::"')
    lines += [_RUNS, _SERVER if logins else _NO_SERVER]
    return lines


def refusal(exit_code: int) -> str | None:
    """Why the image cannot have the accounts, by the script's exit code; None for any other end."""
    return _REFUSALS.get(exit_code)
