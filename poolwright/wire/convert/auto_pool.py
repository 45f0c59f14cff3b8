"""Where a job's tasks run, as bodies say it: in a pool by id, or in one that is made for the job."""

from __future__ import annotations

import msgspec

from poolwright.domain.auto_pool import AutoPool
from poolwright.domain.errors import ServiceError, bad_property, within
from poolwright.domain.job import JobSpec
from poolwright.domain.pool import UserAccount
from poolwright.domain.rules import check_id
from poolwright.wire.bodies import encode_document
from poolwright.wire.convert.certificate import refuse_references
from poolwright.wire.convert.pool import default_wait, read_pool_specification
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.user_account import Secrets, read_accounts, show_accounts
from poolwright.wire.generated import batch_models as models
from poolwright.wire.versions import ApiVersion

_AUTO = "autoPoolSpecification"
_PATH = f"poolInfo.{_AUTO}."


Accounts = tuple[UserAccount, ...]


def take_accounts(
    info: models.BatchPoolInfo, secrets: Secrets, version: ApiVersion, within: str = ""
) -> Accounts:
    """The user accounts of an auto pool, taken out of the body: no document of a job holds a password or a key.

    Hashes passwords, and brings the pool to today's names, with the version's defaults spelled out. Raises
    ServiceError.
    """
    auto = info.auto_pool_specification
    if auto is not None and auto.pool is not None:
        refuse_references(
            auto.pool.certificate_references, version, f"{within}{_PATH}pool.certificateReferences"
        )
        default_wait(auto.pool.start_task, version)
        if auto.pool.task_slots_per_node is None:
            auto.pool.task_slots_per_node = auto.pool.max_tasks_per_node
        auto.pool.max_tasks_per_node = None
    if auto is None or auto.pool is None or auto.pool.user_accounts is None:
        return ()
    accounts = read_accounts(auto.pool.user_accounts, secrets, f"{within}{_PATH}pool.userAccounts")
    auto.pool.user_accounts = []
    return accounts


def refuse_accounts(info: models.BatchPoolInfo | None) -> None:
    """A job that exists keeps the accounts of its pool. Raises InvalidPropertyValue (400)."""
    auto = None if info is None else info.auto_pool_specification
    if auto is not None and auto.pool is not None and auto.pool.user_accounts:
        reason = "Of a job's auto pool only keepAlive can be changed; leave the accounts out."
        raise bad_property(_PATH + "pool.userAccounts", f"{len(auto.pool.user_accounts)} accounts", reason)


def read_pool_info(body: models.BatchPoolInfo, accounts: Accounts) -> tuple[str, AutoPool | None]:
    """(pool id, None) or ("", auto pool with these accounts). Raises ServiceError unless exactly one is given."""
    auto = body.auto_pool_specification
    if auto is None:
        if not body.pool_id:
            values = (("PropertyName", "poolInfo.poolId"), ("Reason", "The property is required."))
            raise ServiceError("MissingRequiredProperty", None, values)
        _check_pool_id(body.pool_id)
        return body.pool_id, None
    if body.pool_id is not None:
        raise bad_property("poolInfo.poolId", body.pool_id, f"Give either poolId or {_AUTO}, not both.")
    return "", _read(auto, accounts)


def _check_pool_id(pool: str) -> None:
    # The pool need not exist, but its id must be one that a pool could have.
    try:
        check_id("pool", pool)
    except ServiceError as bad:
        reason = dict(bad.values)["Reason"]
        raise bad_property("poolInfo.poolId", pool, reason) from None


def _read(body: models.BatchAutoPoolSpecification, accounts: Accounts) -> AutoPool:
    if body.pool is None:
        values = (
            ("PropertyName", _PATH + "pool"),
            ("Reason", "A pool cannot be made without its specification."),
        )
        raise ServiceError("MissingRequiredProperty", None, values)
    given: Document = msgspec.json.decode(encode_document(body.pool))
    try:
        new = read_pool_specification(given, accounts)
    except ServiceError as error:
        raise within(_PATH + "pool.", error) from None
    return AutoPool(
        lifetime=body.pool_lifetime_option.value,
        keep_alive=bool(body.keep_alive),
        prefix=body.auto_pool_id_prefix or "",
        spec=new.spec,
        document=new.document,
        target_dedicated=new.target_dedicated,
        target_low_priority=new.target_low_priority,
        scale=new.scale,
    )


def merged_pool_info(before: Document, change: Document) -> Document:
    """The pool of a changed job: a change of keepAlive need not repeat what cannot be changed."""
    old: Document = before.get("poolInfo", {})
    new: Document = change.get("poolInfo", old)
    if new.get(_AUTO) and old.get(_AUTO):
        return {**new, _AUTO: {**old[_AUTO], **new[_AUTO]}}
    return new


def show_pool_info(spec: JobSpec, document: Document) -> Document:
    """The pool as it was asked for; the one made for the job is in its execution information."""
    if spec.auto_pool is None:
        return {"poolId": spec.pool}
    auto: Document = document.get("poolInfo", {}).get(_AUTO, {})
    shown: Document = {**auto, "keepAlive": spec.auto_pool.keep_alive}
    if "userAccounts" in shown.get("pool", {}):
        shown["pool"] = {**shown["pool"], "userAccounts": show_accounts(spec.auto_pool.spec.accounts)}
    return {_AUTO: shown}
