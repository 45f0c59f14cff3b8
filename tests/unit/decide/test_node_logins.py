from __future__ import annotations

from dataclasses import replace

from poolwright.decide import node_logins
from poolwright.decide.node_events import next_life, preempted
from poolwright.decide.node_life import Act, tick
from poolwright.decide.snapshot import PoolSnapshot
from poolwright.domain.clock import SECOND
from poolwright.domain.node import Logins, Node, NodeUser
from poolwright.domain.pool import UserAccount
from poolwright.domain.states import NodeState
from tests.unit.decide.parts import NOW, node, pool

VISITOR = NodeUser("visitor", True, NOW + 9 * SECOND, None, "ssh-ed25519 AAAA")
HELPER = NodeUser("helper", False, NOW + 20 * SECOND, "$6$hash")
BOTH = Logins((VISITOR, HELPER), wanted=2)


def at(now: int, row: Node) -> PoolSnapshot:
    return PoolSnapshot(pool(1), (row,), now)


def test_a_machine_is_told_once_who_may_log_in() -> None:
    row = node(logins=BOTH)
    plan = tick(row, at(NOW, row))
    assert (plan.act, plan.wake_at) == (Act.LOGINS, VISITOR.expires_at)
    row = node_logins.applied(plan.node, 2, None)
    assert tick(row, at(NOW, row)).act is None
    changed = replace(row, logins=replace(row.logins, users=(HELPER,), wanted=3))
    assert tick(changed, at(NOW, changed)).act is Act.LOGINS
    reborn = replace(row, fence=row.fence + 1)
    assert tick(reborn, at(NOW, reborn)).act is Act.LOGINS, "the server of the former life is gone"


def test_users_expire_and_the_last_one_is_told_too() -> None:
    row = node_logins.applied(node(logins=BOTH), 2, None)
    plan = tick(row, at(VISITOR.expires_at, replace(row, seen_at=VISITOR.expires_at)))
    assert (plan.act, [user.name for user in plan.node.logins.users]) == (Act.LOGINS, ["helper"])
    row = node_logins.applied(plan.node, plan.node.logins.wanted, None)
    plan = tick(row, at(HELPER.expires_at, row))
    assert (plan.act, plan.node.logins.users, plan.wake_at) == (Act.LOGINS, (), None)
    row = node_logins.applied(plan.node, plan.node.logins.wanted, None)
    assert tick(row, at(HELPER.expires_at, row)).node is row


def test_a_machine_that_cannot_be_told_is_told_again_later() -> None:
    row = node_logins.failed(node(logins=BOTH), NOW)
    plan = tick(row, at(NOW, row))
    assert (plan.act, plan.wake_at) == (None, NOW + node_logins.RETRY_WAIT)
    assert tick(row, at(NOW + node_logins.RETRY_WAIT, row)).act is Act.LOGINS


def test_a_refusal_is_not_repeated() -> None:
    row = node_logins.applied(node(logins=BOTH), 2, "no server")
    assert tick(row, at(NOW, row)).act is None
    assert row.logins.problem == "no server"


def test_users_live_as_long_as_the_disk_they_are_on() -> None:
    row = node(logins=BOTH)
    assert next_life(row, NodeState.REBOOTING, NOW, "").logins == BOTH
    assert next_life(row, NodeState.DEALLOCATING, NOW, "").logins == BOTH
    assert next_life(row, NodeState.REIMAGING, NOW, "").logins == Logins()
    assert preempted(row, NOW, "").logins == Logins()


def test_a_machine_that_does_not_run_is_not_told() -> None:
    row = node(state=NodeState.DEALLOCATED, booted_at=None, logins=BOTH)
    assert tick(row, at(NOW, row)).act is None


def test_accounts_that_travel_need_the_server_in_every_life() -> None:
    row = node()
    assert not node_logins.outdated(row, NOW)
    assert node_logins.outdated(row, NOW, ["rank"])
    told = node_logins.applied(row, row.logins.wanted, None)
    assert not node_logins.outdated(told, NOW, ["rank"])
    assert node_logins.outdated(replace(told, fence=told.fence + 1), NOW, ["rank"])
    key = UserAccount("rank", private_key="KEY", public_key="ssh-rsa AAAA")
    base = pool(1)
    assert node_logins.travellers(base) == ()
    spec = replace(base.spec, accounts=(UserAccount("plain"), key))
    assert node_logins.travellers(replace(base, spec=spec)) == ("rank",)
