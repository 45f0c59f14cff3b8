"""What a pool may be: sizes, slots, targets, timeouts, and the rules of images (public behaviour, images and pools)."""

from __future__ import annotations

from dataclasses import replace

from poolwright.commands import network_rules
from poolwright.commands.context import Context
from poolwright.commands.storage_rules import check_disk_count, check_image_disks, check_mounts
from poolwright.domain import sizes
from poolwright.domain.catalogue import AGENT_SKUS, find_image, find_sku
from poolwright.domain.clock import MINUTE, Micros, span, utc
from poolwright.domain.compute import image_state
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.gallery import resolve
from poolwright.domain.limits import (
    INTER_NODE_POOL_MAX,
    POOL_TARGET_MAX,
    RESIZE_TIMEOUT_MIN,
    SLOTS_PER_NODE_MAX,
)
from poolwright.domain.pool import ImageReference, PoolSpec
from poolwright.domain.resource_id import (
    GALLERY_IMAGES,
    GALLERY_VERSIONS,
    IMAGE_TYPES,
    IMAGES,
    image_key,
    parse,
)
from poolwright.domain.states import ResourceState
from poolwright.store.base import Tx

_MACHINE = "virtualMachineConfiguration."
IMAGE_ID = _MACHINE + "imageReference.virtualMachineImageId"
AGENT_SKU = _MACHINE + "nodeAgentSKUId"
_NAMED_TYPES = frozenset({IMAGES, GALLERY_IMAGES, GALLERY_VERSIONS})
SLOTS_PER_CORE = 4  # public limit


def check_spec(spec: PoolSpec) -> None:
    """Rules that need no state: known size, slots, timeout, form of the image id, agent and image.

    Raises InvalidPropertyValue (400) or NodeAgentSKUNotFound (404).
    """
    size = sizes.find(spec.vm_size)
    if size is None:
        raise bad_property("vmSize", spec.vm_size, "There is no virtual machine size of this name.")
    slots_max = min(SLOTS_PER_CORE * size.cores, SLOTS_PER_NODE_MAX)
    if not 1 <= spec.slots_per_node <= slots_max:
        reason = f"{size.name} has {size.cores} cores, so a node has 1 to {slots_max} task slots."
        raise bad_property("taskSlotsPerNode", spec.slots_per_node, reason)
    check_timeout(spec.resize_timeout)
    network_rules.check(spec.network)
    check_disk_count(spec)
    image = spec.image
    if image.image_id is not None:
        wanted = parse(image.image_id)
        if wanted is None or wanted.type not in _NAMED_TYPES:
            reason = (
                "The id of an image has the form /subscriptions/{subscription}/resourceGroups/{group}"
                "/providers/Microsoft.Compute/images/{image}, or in place of images/{image}"
                " galleries/{gallery}/images/{definition}, with /versions/{version} when one version is meant."
            )
            raise bad_property(IMAGE_ID, image.image_id, reason)
    else:
        _check_marketplace(spec)


def _check_marketplace(spec: PoolSpec) -> None:
    check_agent_sku(spec.agent_sku)
    image = spec.image
    names = (image.publisher or "", image.offer or "", image.sku or "")
    found = find_image(*names)
    shown = ":".join(names)
    if found is None:
        reason = "This marketplace image is not among the supported images."
        raise bad_property(_MACHINE + "imageReference", shown, reason)
    if found.agent_sku != find_sku(spec.agent_sku):
        reason = f"The image {shown} needs the node agent '{found.agent_sku}', not '{spec.agent_sku}'."
        raise bad_property(AGENT_SKU, spec.agent_sku, reason)


def check_agent_sku(name: str) -> None:
    """Raises NodeAgentSKUNotFound (404) naming the SKUs there are."""
    if find_sku(name) is None:
        known = ", ".join(sorted(AGENT_SKUS))
        values = (("PropertyName", AGENT_SKU), ("PropertyValue", name[:200]), ("Known", known))
        raise ServiceError("NodeAgentSKUNotFound", None, values)


def check_timeout(timeout: Micros) -> None:
    """Raises InvalidPropertyValue (400) for less than the public minimum of five minutes."""
    if timeout < RESIZE_TIMEOUT_MIN:
        reason = f"A resize timeout is at least {RESIZE_TIMEOUT_MIN // MINUTE} minutes."
        raise bad_property("resizeTimeout", span(timeout), reason)


def check_targets(ctx: Context, spec: PoolSpec, dedicated: int | None, low_priority: int | None) -> None:
    """At least one target, none negative or above what one pool may have (less for a custom image).

    Raises MissingRequiredProperty or InvalidPropertyValue (400). The sum over pools that share an image is left to
    the pool's planner, which ends the resize with AllocationFailed.
    """
    if dedicated is None and low_priority is None:
        reason = "At least one of targetDedicatedNodes and targetLowPriorityNodes must be given."
        values = (("PropertyName", "targetDedicatedNodes"), ("Reason", reason))
        raise ServiceError("MissingRequiredProperty", None, values)
    quotas = ctx.settings.quotas
    given = (
        ("targetDedicatedNodes", dedicated, quotas.custom_image_max_dedicated),
        ("targetLowPriorityNodes", low_priority, quotas.custom_image_max_low_priority),
    )
    for name, target, limit in given:
        if target is None:
            continue
        if target < 0:
            raise bad_property(name, target, "A number of nodes is not negative.")
        if target > POOL_TARGET_MAX:
            raise bad_property(name, target, f"A pool has at most {POOL_TARGET_MAX} nodes of one kind.")
        if spec.image.custom and target > limit:
            reason = f"A pool made from a custom image has at most {limit} nodes of this kind."
            raise bad_property(name, target, reason)


def check_sum(spec: PoolSpec, dedicated: int, low_priority: int) -> None:
    """Limits on nodes of both kinds: the public one of pools with communication between nodes, and front-end ports.

    Raises InvalidPropertyValue (400).
    """
    network_rules.check_size(spec, dedicated, low_priority)
    wanted = dedicated + low_priority
    if spec.inter_node and wanted > INTER_NODE_POOL_MAX:
        reason = (
            f"A pool with inter-node communication has at most {INTER_NODE_POOL_MAX} nodes of both kinds."
        )
        name = "targetDedicatedNodes" if dedicated else "targetLowPriorityNodes"
        raise bad_property(name, wanted, reason)


def check_outside(ctx: Context, spec: PoolSpec) -> None:
    """May the caller use the image, and are the directories of the host exported? Raises 403 and 400."""
    check_caller(ctx, spec)
    check_mounts(spec, ctx.settings.exports)


def check_support(ctx: Context, spec: PoolSpec) -> None:
    """Raises InvalidPropertyValue for a marketplace image whose support is over: pools that have it keep it."""
    image = spec.image
    name = f"{image.publisher}:{image.offer}:{image.sku}".lower()
    ends = dict(ctx.settings.support_ends).get(name) if image.image_id is None else None
    if ends is not None and ends <= ctx.now:
        reason = f"The support of this image ended on {utc(ends)[:10]}."
        raise bad_property(_MACHINE + "imageReference", name, reason)


def check_caller(ctx: Context, spec: PoolSpec) -> None:
    """A shared key proves an account, not a right to an image: AuthenticationFailed (403), unless switched off."""
    refused = ctx.caller.kind == "sharedkey" and ctx.settings.strict_custom_image_auth
    if refused and spec.image.custom:
        detail = (
            "The specified type of authentication SharedKey is not allowed when external resources of type Compute"
            " are linked."
        )
        raise ServiceError("AuthenticationFailed", None, (("AuthenticationErrorDetail", detail),))


def settle_image(tx: Tx, spec: PoolSpec, before: ImageReference | None = None) -> PoolSpec:
    """The specification with the id of an image that is there, where the caller's names none.

    Ids may come from another subscription or resource group, of the public cloud for example: what counts then are
    their last segments, which must fit one image of this service. What fits `before`, which the pool has, means that.
    Raises InvalidPropertyValue (400) when they fit several; what fits none is left to `check_image`.
    """
    id = spec.image.image_id
    if id is None or tx.resources.get(image_key(id)) is not None:
        return spec
    wanted = parse(image_key(id))
    if wanted is None or wanted.type not in (*IMAGE_TYPES, GALLERY_IMAGES):
        return spec
    name = wanted.name.lower()
    known = None if before is None else parse(image_key(before.image_id or ""))
    if before is not None and known and (known.type, known.name.lower()) == (wanted.type, name):
        return replace(spec, image=before)
    found = [one.id for one in tx.resources.of_type(wanted.type) if one.name.lower() == name]
    if len(found) > 1:
        reason = f"There is no such image, and its last segments fit several: {', '.join(found[:5])}."
        raise bad_property(IMAGE_ID, id, reason)
    return replace(spec, image=replace(spec.image, image_id=found[0])) if found else spec


def check_image(tx: Tx, ctx: Context, spec: PoolSpec) -> str | None:
    """The key of what the pool names (None for a marketplace image), whose image must be ready and fit the agent.

    The operator may let a pool name any agent that there is (Settings.match_image_agent), of a custom image only.
    Raises InvalidPropertyValue (400), or NodeAgentSKUNotFound (404) for an agent that nothing knows.
    """
    id = spec.image.image_id
    if id is None:
        return None
    named = tx.resources.get(image_key(id))
    image = resolve(tx.resources, id)
    if image is None:
        reason = "There is no such image."
        if named is not None and named.type == GALLERY_IMAGES:
            reason = "The definition has no version that is whole and not excluded from latest."
        raise bad_property(IMAGE_ID, id, reason)
    if image.state is not ResourceState.SUCCEEDED:
        raise bad_property(
            IMAGE_ID, id, f"The image cannot be used: its provisioning state is {image.state}."
        )
    state = image_state(image.inner)
    if state.os_state != "Generalized":
        reason = f"The image is {state.os_state.lower()}; nodes are made from generalized images only."
        raise bad_property(IMAGE_ID, id, reason)
    check_image_disks(spec, state)
    agent = state.agent_sku
    check_agent_sku(spec.agent_sku)
    # An image whose operating system has no agent of its own: the caller must know.
    if ctx.settings.match_image_agent and agent is not None and agent.lower() != spec.agent_sku.lower():
        reason = (
            f"The image holds the operating system of '{agent}', the pool asks for '{spec.agent_sku}'."
            " (The operator can allow it: poolwright up --allow-agent-mismatch.)"
        )
        raise bad_property(AGENT_SKU, spec.agent_sku, reason)
    return image_key(id)
