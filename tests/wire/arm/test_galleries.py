"""Galleries through the official client: definitions, versions, the latest one, and what protects them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from poolwright.domain.compute import image_state
from poolwright.domain.resource_id import GALLERY_VERSIONS, IMAGES, SNAPSHOTS
from tests.unit.resources.house import at
from tests.unit.resources.pools import pool_of
from tests.wire.arm.conftest import LiveArm
from tests.wire.arm.test_sdk_story import GROUP, Clients, clients, code_of, machine

__all__ = ["clients"]  # the fixture
GALLERY = "films"
IDENTIFIER = {"publisher": "Studio", "offer": "Render"}
PROPERTIES: dict[str, Any] = {
    "osType": "Linux",
    "osState": "Generalized",
    "hyperVGeneration": "V2",
    "purchasePlan": {"name": "plan", "publisher": "p", "product": "q"},
    "recommended": {"vCPUs": {"min": 1, "max": 16}},
}
DEFINITION = {"location": "local", "tags": {"a": "b"}}


def version_body(publishing: dict[str, Any] | None = None, **storage: Any) -> dict[str, Any]:
    profile = {"targetRegions": [{"name": "Local"}], **(publishing or {})}
    return {"location": "local", "properties": {"publishingProfile": profile, "storageProfile": storage}}


def source(id: str) -> dict[str, Any]:
    return {"source": {"id": id}}


@pytest.fixture
def gallery(clients: Clients) -> Iterator[Any]:
    """A gallery, beside a stopped machine and snapshots of its disks."""
    compute = clients.compute
    clients.resource.resource_groups.create_or_update(GROUP, {"location": "local"})
    compute.virtual_machines.begin_create_or_update(GROUP, "builder", machine()).result()
    compute.virtual_machines.begin_deallocate(GROUP, "builder").result()
    for name, disk in (("snap-os", "system"), ("snap-data", "scratch")):
        wanted = {"createOption": "Copy", "sourceResourceId": compute.disks.get(GROUP, disk).id}
        body = {"location": "local", "properties": {"creationData": wanted}}
        compute.snapshots.begin_create_or_update(GROUP, name, body).result()
    made = compute.galleries.begin_create_or_update(
        GROUP, GALLERY, {"location": "Local", "properties": {"description": "ours"}}
    ).result()
    assert (made.name, made.location) == (GALLERY, "local")
    yield compute
    clients.resource.resource_groups.begin_delete(GROUP).result()
    assert clients.live.images.list() == ()


def test_the_life_of_galleries(clients: Clients, gallery: Any) -> None:
    """One machine and its snapshots serve all parts; each has a definition of its own."""
    for part in (versions_from_every_source, what_may_change_and_what_may_not, deletion_is_guarded):
        name = part.__name__
        made = gallery.gallery_images.begin_create_or_update(GROUP, GALLERY, name, definition(name)).result()
        assert (made.name, made.properties.hyper_v_generation) == (name, "V2")
        part(clients, gallery, name)


def definition(name: str) -> dict[str, Any]:
    identifier = {**IDENTIFIER, "sku": name}
    return {**DEFINITION, "properties": {**PROPERTIES, "identifier": identifier}}


def from_snapshots(compute: Any, name: str, number: str, **publishing: Any) -> Any:
    snapshots = {disk: compute.snapshots.get(GROUP, disk).id for disk in ("snap-os", "snap-data")}
    body = version_body(
        publishing,
        osDiskImage={**source(snapshots["snap-os"]), "hostCaching": "ReadOnly"},
        dataDiskImages=[{"lun": 5, **source(snapshots["snap-data"]), "hostCaching": "ReadOnly"}],
    )
    return compute.gallery_image_versions.begin_create_or_update(GROUP, GALLERY, name, number, body).result()


def versions_from_every_source(clients: Clients, gallery: Any, name: str) -> None:
    one = from_snapshots(gallery, name, "1.0.0")
    assert (one.name, one.properties.provisioning_state) == ("1.0.0", "Succeeded")
    (data,) = one.properties.storage_profile.data_disk_images
    assert (data.lun, data.size_in_gb, data.host_caching) == (5, 2, "ReadOnly")
    assert one.properties.storage_profile.os_disk_image.size_in_gb == 8
    assert not one.properties.publishing_profile.exclude_from_latest

    system: dict[str, Any] = {"osType": "Linux", "osState": "Generalized"}
    system |= {"snapshot": {"id": gallery.snapshots.get(GROUP, "snap-os").id}}
    body = {"location": "local", "properties": {"storageProfile": {"osDisk": system}}}
    image = gallery.images.begin_create_or_update(GROUP, "golden", body).result()
    versions = gallery.gallery_image_versions
    made = versions.begin_create_or_update(
        GROUP, GALLERY, name, "1.1.0", version_body(**source(image.id))
    ).result()
    parents = clients.live.read(lambda tx: tx.resources.parents(made.id.lower()))
    assert at(SNAPSHOTS, "snap-os").key in {edge.parent for edge in parents}, "known without the image, too"
    copied = version_body(**source(made.id))
    versions.begin_create_or_update(GROUP, GALLERY, name, "1.2.0", copied).result()

    vm = gallery.virtual_machines.get(GROUP, "builder").id
    with pytest.raises(HttpResponseError, match="not generalized"):
        versions.begin_create_or_update(
            GROUP, GALLERY, name, "2.0.0", version_body(source={"virtualMachineId": vm})
        )
    gallery.virtual_machines.generalize(GROUP, "builder")
    whole = version_body(source={"virtualMachineId": vm})
    two = versions.begin_create_or_update(GROUP, GALLERY, name, "2.0.0", whole).result()
    assert [disk.lun for disk in two.properties.storage_profile.data_disk_images] == [3]
    assert [entry.name for entry in versions.list_by_gallery_image(GROUP, GALLERY, name)] == [
        "1.0.0", "1.1.0", "1.2.0", "2.0.0"]  # fmt: skip
    assert [entry.name for entry in gallery.gallery_images.list_by_gallery(GROUP, GALLERY)] == [name]
    assert [entry.name for entry in gallery.galleries.list()] == [GALLERY]
    status = versions.get(
        GROUP, GALLERY, name, "2.0.0", expand="ReplicationStatus"
    ).properties.replication_status
    assert status.aggregated_state == "Completed"

    latest = {"id": two.id.rpartition("/versions/")[0], "lun": 3}
    creation = {"createOption": "FromImage", "galleryImageReference": latest}
    disk = {"location": "local", "properties": {"creationData": creation}}
    assert gallery.disks.begin_create_or_update(GROUP, "copy", disk).result().disk_size_gb == 2


def what_may_change_and_what_may_not(clients: Clients, gallery: Any, name: str) -> None:
    from_snapshots(gallery, name, "1.0.0")
    versions = gallery.gallery_image_versions
    change = {"properties": {"publishingProfile": {"excludeFromLatest": True}}, "tags": {"c": "d"}}
    changed = versions.begin_update(GROUP, GALLERY, name, "1.0.0", change).result()
    assert (changed.properties.publishing_profile.exclude_from_latest, changed.tags) == (True, {"c": "d"})
    other = {"properties": {"osState": "Specialized"}}
    with pytest.raises(HttpResponseError) as refused:
        gallery.gallery_images.begin_update(GROUP, GALLERY, name, other)
    assert (refused.value.status_code, code_of(refused.value)) == (409, "PropertyChangeNotAllowed")
    described = {"properties": {"description": "new"}}
    done = gallery.gallery_images.begin_update(GROUP, GALLERY, name, described).result()
    assert (done.properties.description, done.properties.identifier.sku, done.tags) == (
        "new",
        name,
        {"a": "b"},
    )
    with pytest.raises(HttpResponseError, match="unique in a gallery"):
        gallery.gallery_images.begin_create_or_update(GROUP, GALLERY, "again", definition(name))
    again = from_snapshots(gallery, name, "1.0.0", excludeFromLatest=False)
    assert not again.properties.publishing_profile.exclude_from_latest
    elsewhere = version_body(**source(at(IMAGES, "other").text))
    with pytest.raises(HttpResponseError, match="cannot be changed"):
        versions.begin_create_or_update(GROUP, GALLERY, name, "1.0.0", elsewhere)


def deletion_is_guarded(clients: Clients, gallery: Any, name: str) -> None:
    live: LiveArm = clients.live
    versions = gallery.gallery_image_versions
    one, two = from_snapshots(gallery, name, "1.0.0"), from_snapshots(gallery, name, "2.0.0")
    holders = ((gallery.galleries, (GROUP, GALLERY)), (gallery.gallery_images, (GROUP, GALLERY, name)))
    for operations, names in holders:
        with pytest.raises(HttpResponseError) as nested:
            operations.begin_delete(*names)
        assert (nested.value.status_code, code_of(nested.value)) == (409, "CannotDeleteResource")
    live.write(lambda tx: tx.pools.insert(pool_of(one.id)))
    with pytest.raises(HttpResponseError) as used:
        versions.begin_delete(GROUP, GALLERY, name, "1.0.0")
    assert (used.value.status_code, code_of(used.value)) == (409, "ImageInUse")
    assert used.value.error is not None
    assert [detail.target for detail in used.value.error.details] == ["render1/pool-1"]
    live.write(lambda tx: tx.pools.delete("render1", "pool-1"))
    live.write(lambda tx: tx.pools.insert(pool_of(one.id.rpartition("/versions/")[0])))
    versions.begin_delete(GROUP, GALLERY, name, "2.0.0").result()  # the definition has another
    with pytest.raises(HttpResponseError, match="render1/pool-1"):
        versions.begin_delete(GROUP, GALLERY, name, "1.0.0")
    versions.begin_delete(GROUP, GALLERY, name, "1.0.0", params={"forceDeletion": "true"}).result()
    with pytest.raises(HttpResponseError, match="render1/pool-1"):
        gallery.gallery_images.begin_delete(GROUP, GALLERY, name)
    live.write(lambda tx: tx.pools.delete("render1", "pool-1"))
    far = {"endOfLifeDate": "2999-01-01T00:00:00Z"}
    from_snapshots(gallery, name, "3.0.0", **far)
    block = {"properties": {"safetyProfile": {"blockDeletionBeforeEndOfLife": True}}}
    versions.begin_update(GROUP, GALLERY, name, "3.0.0", block).result()
    with pytest.raises(HttpResponseError, match="end of life"):
        versions.begin_delete(GROUP, GALLERY, name, "3.0.0")
    block["properties"]["safetyProfile"]["blockDeletionBeforeEndOfLife"] = False
    versions.begin_update(GROUP, GALLERY, name, "3.0.0", block).result()
    state = live.read(lambda tx: tx.resources.get(at(GALLERY_VERSIONS, f"{GALLERY}/{name}/3.0.0").key))
    assert state is not None
    assert image_state(state.inner).keep_until is None
    versions.begin_delete(GROUP, GALLERY, name, "3.0.0").result()
    with pytest.raises(ResourceNotFoundError):
        versions.get(GROUP, GALLERY, name, "3.0.0")
    gallery.gallery_images.begin_delete(GROUP, GALLERY, name).result()
    assert two.name == "2.0.0"
