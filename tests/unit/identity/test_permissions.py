"""Which role may do what, and the start-up check of routes."""

from __future__ import annotations

import pytest

from poolwright.api.auth import (
    PUBLIC,
    AuthError,
    Principal,
    Role,
    RoleBook,
    Target,
    arm_target,
    assert_declared,
    batch_target,
    declared,
    needs,
    permission,
    require,
)

POOL_READ = permission("Batch/pools/read")
POOL_WRITE = permission("Batch/pools/write")
TASK_WRITE = permission("Batch/tasks/write")
IMAGE_WRITE = permission("Microsoft.Compute/images/write")
LIST_KEYS = permission("Microsoft.Batch/batchAccounts/listKeys/action")
ASSIGN = permission("Microsoft.Authorization/roleAssignments/write")
ACCOUNT = batch_target("acct1")
IMAGE = arm_target("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/i")


def token(*roles: str) -> Principal:
    return Principal("token", None, "oid", "demo", frozenset(roles))


@pytest.mark.parametrize(
    ("role", "wanted", "target", "allowed"),
    [
        ("owner", ASSIGN, IMAGE, True),
        ("Owner", POOL_WRITE, ACCOUNT, True),
        ("contributor", POOL_WRITE, ACCOUNT, True),
        ("contributor", IMAGE_WRITE, IMAGE, True),
        ("contributor", LIST_KEYS, IMAGE, True),
        ("contributor", ASSIGN, IMAGE, False),
        ("reader", POOL_READ, ACCOUNT, True),
        ("reader", POOL_WRITE, ACCOUNT, False),
        ("reader", IMAGE_WRITE, IMAGE, False),
        ("reader", LIST_KEYS, IMAGE, False),
        ("unknown", POOL_READ, ACCOUNT, False),
    ],
)
def test_built_in_roles(role: str, wanted: str, target: Target, allowed: bool) -> None:
    if allowed:
        require(token(role), permission(wanted), target)
        return
    with pytest.raises(AuthError) as refused:
        require(token(role), permission(wanted), target)
    expected = "AuthorizationFailed" if target is IMAGE else "InsufficientAccountPermissions"
    assert (refused.value.status, refused.value.code) == (403, expected)
    assert wanted in refused.value.message + str(refused.value.values)


def test_no_role_no_right_but_public() -> None:
    require(token(), PUBLIC, ACCOUNT)
    with pytest.raises(AuthError):
        require(token(), POOL_READ, ACCOUNT)


def test_roles_add_up() -> None:
    require(token("reader", "contributor"), POOL_WRITE, ACCOUNT)


def test_custom_roles() -> None:
    book = RoleBook({"Render": Role(("Batch/tasks/*", "Batch/jobs/read"), ("Batch/tasks/delete",))})
    require(token("render"), TASK_WRITE, ACCOUNT, book)
    for wanted in (
        "Batch/tasks/delete",
        "Batch/jobs/write",
        "Microsoft.Compute/images/read",
        "xBatch/tasks/read",
    ):
        with pytest.raises(AuthError):
            require(token("render"), permission(wanted), ACCOUNT, book)


def test_custom_roles_are_checked() -> None:
    with pytest.raises(ValueError, match="built-in"):
        RoleBook({"OWNER": Role(("*",))})
    with pytest.raises(ValueError, match="role action"):
        Role(("Batch/pools/read; drop",))


def test_a_shared_key_rules_its_own_account_only() -> None:
    owner = Principal("sharedkey", "acct1", "acct1", "acct1")
    require(owner, POOL_WRITE, batch_target("ACCT1"))
    for wanted, target in (
        (POOL_WRITE, batch_target("acct2")),
        (IMAGE_WRITE, IMAGE),
        (LIST_KEYS, batch_target("acct1")),
        (POOL_WRITE, arm_target("acct1")),
    ):
        with pytest.raises(AuthError):
            require(owner, wanted, target)


def test_a_task_rules_its_own_job_only() -> None:
    task = Principal("task", "acct1", "t", "job/j1", job="j1")
    require(task, TASK_WRITE, batch_target("acct1", "j1"))
    for target in (batch_target("acct1", "j2"), batch_target("acct2", "j1"), batch_target("acct1")):
        with pytest.raises(AuthError):
            require(task, TASK_WRITE, target)
    with pytest.raises(AuthError):
        require(task, permission("Batch/jobs/delete"), batch_target("acct1", "j1"))


@pytest.mark.parametrize(
    "text", ["", "read", "Batch/pools", "Batch/pools/*", "Batch/pools/READ", "Batch//read", "PUBLIC"]
)
def test_misspelled_permissions_are_found_early(text: str) -> None:
    with pytest.raises(ValueError, match="permission"):
        permission(text)


def test_routes_without_permission_are_all_named() -> None:
    @needs(POOL_READ)
    def guarded() -> None: ...

    def forgotten() -> None: ...

    assert declared(guarded) == POOL_READ
    assert_declared([("guarded", declared(guarded)), ("open", PUBLIC)])
    with pytest.raises(RuntimeError, match=r"forgotten: no permission.*odd: 'Batch/x'"):
        assert_declared(
            [("forgotten", declared(forgotten)), ("odd", "Batch/x"), ("guarded", declared(guarded))]
        )
