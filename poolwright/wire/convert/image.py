"""Virtual machine configurations: which image a pool is made from."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.pool import ImageReference, PoolSpec
from poolwright.wire.convert.pool_settings import check_machine
from poolwright.wire.convert.shared import Document, refuse
from poolwright.wire.generated import batch_models as models

_WITHIN = "virtualMachineConfiguration."
_FOREIGN_GALLERY = (
    "This service cannot reach galleries of other tenants: import the image into a gallery here and name it by "
    "virtualMachineImageId."
)


def read_machine(body: models.VirtualMachineConfiguration) -> tuple[ImageReference, str]:
    """The image and the node agent SKU. Raises ServiceError."""
    check_machine(body)
    placement = body.node_placement_configuration
    if placement is not None and placement.policy == "zonal":
        reason = "This service has one place only: regional is the policy it can keep."
        raise refuse(_WITHIN + "nodePlacementConfiguration.policy", "zonal", reason)
    if not body.node_agent_sku_id:
        raise bad_property(_WITHIN + "nodeAgentSKUId", "", "The name of a node agent SKU is needed.")
    return _read_image(body.image_reference), body.node_agent_sku_id


def _read_image(body: models.BatchVmImageReference) -> ImageReference:
    within = _WITHIN + "imageReference."
    for name, id in (
        ("sharedGalleryImageId", body.shared_gallery_image_id),
        ("communityGalleryImageId", body.community_gallery_image_id),
    ):
        if id is not None:
            raise refuse(within + name, id, _FOREIGN_GALLERY)
    marketplace = (body.publisher, body.offer, body.sku)
    if body.virtual_machine_image_id is not None:
        if any(part is not None for part in (*marketplace, body.version)):
            reason = "An image is given by virtualMachineImageId or by publisher, offer and sku, not by both."
            raise bad_property(within + "virtualMachineImageId", body.virtual_machine_image_id, reason)
        return ImageReference(image_id=body.virtual_machine_image_id)
    for name, part in zip(("publisher", "offer", "sku"), marketplace, strict=True):
        if not part:
            reason = "Give virtualMachineImageId, or publisher, offer and sku."
            raise ServiceError(
                "MissingRequiredProperty", None, (("PropertyName", within + name), ("Reason", reason))
            )
    return ImageReference(None, *marketplace, body.version or "latest")


def show_machine(spec: PoolSpec, document: Document) -> Document:
    """The configuration as the caller gave it, with the image's defaults spelled out."""
    shown = dict(document)
    sent = document.get("imageReference", {}).get("virtualMachineImageId")  # may be one that `spec` settled
    shown["imageReference"] = show_image(spec.image) if sent is None else {"virtualMachineImageId": sent}
    shown["nodeAgentSKUId"] = spec.agent_sku
    return shown


def show_image(image: ImageReference) -> Document:
    """An image reference of either form."""
    if image.image_id is not None:
        return {"virtualMachineImageId": image.image_id}
    return {
        "publisher": image.publisher,
        "offer": image.offer,
        "sku": image.sku,
        "version": image.version or "latest",
    }


def show_image_info(
    id: str,
    facts: Document | None,
    origins: Sequence[tuple[str, str]],
    versions: Sequence[tuple[str, str | None, int]],
) -> Document:
    """Our extension: what a pool was made from. `versions` are (id, digest if known, nodes made from it)."""
    shown: list[Document] = [
        {"id": version, "nodes": nodes, **({"digest": digest} if digest else {})}
        for version, digest, nodes in versions
    ]
    lineage = [{"kind": kind, "id": origin} for kind, origin in origins]
    return {"id": id, "exists": facts is not None, **(facts or {}), "lineage": lineage, "versions": shown}


def show_node_image(pool: ImageReference, made_from: str) -> Document:
    """The image of one node: the pool's reference and the version it was made from, where that is known."""
    shown = show_image(pool)
    exact = made_from.rpartition("/versions/")[2] if "/versions/" in made_from else ""
    if made_from and not made_from.startswith("/"):
        exact = made_from.rpartition(":")[2]
    return shown | ({"exactVersion": exact} if exact else {})
