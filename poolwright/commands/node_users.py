"""Users of a node: accounts that people log in with, kept until they expire."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field, replace

from poolwright.commands import nodes
from poolwright.commands.context import Context, record, wake
from poolwright.domain.clock import DAY, Instant, utc
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import NODE_USERS_MAX
from poolwright.domain.node import Node, NodeUser
from poolwright.domain.states import NodeState
from poolwright.store.base import Tx

EXPIRES_AFTER = DAY  # public default
#: What Linux account programs take; longer names are cut by some of them.
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_KEY = re.compile(r"[\x21-\x7e]+ [A-Za-z0-9+/]+={0,3}(?: [\x20-\x7e]*)?\Z")
_KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
_KEY_LENGTH_MAX = 16_384
_RESERVED = re.compile(r"root\Z|_azbatch")
_USABLE = frozenset(
    {
        NodeState.IDLE,
        NodeState.RUNNING,
        NodeState.OFFLINE,
        NodeState.WAITING_FOR_START_TASK,
        NodeState.START_TASK_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class Secrets:
    """How a user proves who they are; of a password only the salted hash comes in here."""

    password_hash: str | None = field(default=None, repr=False)
    public_key: str | None = None


def check_name(name: str) -> str:
    """`name` if an account may have it. Raises InvalidPropertyValue."""
    if not _NAME.match(name):
        reason = "1 to 32 of a-z, 0-9, underscore and hyphen, and no digit or hyphen first."
        raise bad_property("name", name, reason)
    if _RESERVED.match(name):
        raise bad_property("name", name, "The name belongs to an account of every node.")
    return name


def check_key(text: str) -> str:
    """An OpenSSH public key, given as its line or as that line in base64, as the line. Raises InvalidPropertyValue."""
    line = text.strip()
    if len(line) <= _KEY_LENGTH_MAX and " " not in line:
        try:
            line = base64.b64decode(line, validate=True).decode("ascii").strip()
        except (binascii.Error, UnicodeDecodeError):
            pass  # refused below, as what it is
    kind = line.partition(" ")[0]
    if len(line) > _KEY_LENGTH_MAX or kind not in _KEY_TYPES or not _KEY.match(line):
        reason = f"One public key as ssh-keygen writes it, of type {', '.join(sorted(_KEY_TYPES))}."
        raise bad_property("sshPublicKey", text, reason)
    return line


def create(
    tx: Tx,
    ctx: Context,
    account: str,
    pool: str,
    node: str,
    name: str,
    admin: bool,
    expires_at: Instant | None,
    secrets: Secrets,
) -> Node:
    """Add a user; by default it expires after a day.

    Raises 400 InvalidPropertyValue or MissingRequiredProperty, 404, 409 NodeUserExists or by the node's state.
    """
    found = _usable(tx, account, pool, node)
    _check(ctx, expires_at, secrets)
    if any(user.name == name for user in found.logins.users):
        raise ServiceError("NodeUserExists", None, (("UserName", name),))
    if len(found.logins.users) >= NODE_USERS_MAX:
        raise bad_property("name", name, f"A node has at most {NODE_USERS_MAX} users.")
    user = _user(ctx, check_name(name), admin, expires_at, secrets)
    return _changed(tx, ctx, found, (*found.logins.users, user), "node.user.create", name)


def replace_user(
    tx: Tx,
    ctx: Context,
    account: str,
    pool: str,
    node: str,
    name: str,
    expires_at: Instant | None,
    secrets: Secrets,
) -> Node:
    """Give a user new secrets: what is not given is gone afterwards, and the expiry is the default one again.

    Raises as `create`; 404 NodeUserNotFound.
    """
    found = _usable(tx, account, pool, node)
    known = _named(found, name)
    _check(ctx, expires_at, secrets)
    user = _user(ctx, name, known.admin, expires_at, secrets)
    users = tuple(user if old is known else old for old in found.logins.users)
    return _changed(tx, ctx, found, users, "node.user.replace", name)


def delete(tx: Tx, ctx: Context, account: str, pool: str, node: str, name: str) -> Node:
    """Remove a user; its sessions end. Raises 404 (NodeUserNotFound, ...), 409 by the node's state."""
    found = _usable(tx, account, pool, node)
    known = _named(found, name)
    users = tuple(user for user in found.logins.users if user is not known)
    return _changed(tx, ctx, found, users, "node.user.delete", name)


def reachable(tx: Tx, account: str, pool: str, node: str) -> Node:
    """The node, if people can log in to it.

    Raises 404; 409 by its state, NodeNotReady without a network, OperationNotValidOnNode when its image cannot.
    """
    found = nodes.get(tx, account, pool, node)
    if found.state not in _USABLE:
        raise nodes.conflict(found)
    if found.logins.problem is not None:
        raise ServiceError("OperationNotValidOnNode", None, (("Reason", found.logins.problem),))
    if found.address is None:
        raise ServiceError("NodeNotReady", None, (("Reason", "The node has no network address."),))
    return found


def _usable(tx: Tx, account: str, pool: str, node: str) -> Node:
    found = nodes.of_active_pool(tx, account, pool, node)
    if found.state not in _USABLE:
        raise nodes.conflict(found)
    if found.simulated:
        reason = "The node is simulated: there is no machine to log in to."
        raise ServiceError("OperationNotValidOnNode", None, (("Reason", reason),))
    return found


def _named(node: Node, name: str) -> NodeUser:
    for user in node.logins.users:
        if user.name == name:
            return user
    raise ServiceError("NodeUserNotFound", None, (("UserName", name[:64]),))


def _check(ctx: Context, expires_at: Instant | None, secrets: Secrets) -> None:
    if secrets.password_hash is None and secrets.public_key is None:
        reason = "A user needs a password or an sshPublicKey."
        values = (("PropertyName", "password"), ("Reason", reason))
        raise ServiceError("MissingRequiredProperty", None, values)
    if expires_at is not None and expires_at <= ctx.now:
        raise bad_property("expiryTime", utc(expires_at), "The time is over already.")


def _user(ctx: Context, name: str, admin: bool, expires_at: Instant | None, secrets: Secrets) -> NodeUser:
    until = ctx.now + EXPIRES_AFTER if expires_at is None else expires_at
    return NodeUser(name, admin, until, secrets.password_hash, secrets.public_key)


def _changed(tx: Tx, ctx: Context, node: Node, users: tuple[NodeUser, ...], kind: str, name: str) -> Node:
    logins = replace(node.logins, users=users, wanted=node.logins.wanted + 1, retry_at=0, problem=None)
    changed = tx.nodes.update(replace(node, logins=logins))
    record(tx, ctx, node.account, f"node/{node.pool}/{node.id}", kind, user=name)
    wake(tx, "pool", node.account, node.pool)
    return changed
