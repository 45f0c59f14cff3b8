"""Which images share one limit, over a hand-made family of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.decide.sharing import sharing_keys
from poolwright.domain.compute import ImageState, dump
from poolwright.domain.gallery import IMAGE_OF, VERSION_OF, resolve
from poolwright.domain.resource import Lineage, Resource
from poolwright.domain.resource_id import GALLERY_IMAGES, GALLERY_VERSIONS, IMAGES, SNAPSHOTS, ResourceId
from poolwright.domain.states import ResourceState

GALLERY = "Films/Renderer"


def at(type: str, name: str) -> ResourceId:
    return ResourceId("s", "g", type, name)


@dataclass
class Family:
    rows: dict[str, Resource] = field(default_factory=dict)
    edges: list[Lineage] = field(default_factory=list)

    def add(
        self,
        type: str,
        name: str,
        *sources: ResourceId,
        hidden: bool = False,
        state: ResourceState = ResourceState.SUCCEEDED,
    ) -> ResourceId:
        id = at(type, name)
        inner = dump(ImageState("os", (), hidden=hidden))
        self.rows[id.key] = Resource(id.text, type, "s", "g", name, "local", state, 1, 1, inner=inner)
        self.edges += [Lineage(id.key, source.key, IMAGE_OF) for source in sources]
        if type == GALLERY_VERSIONS and id.parent is not None:
            self.edges.append(Lineage(id.key, id.parent.key, VERSION_OF))
        return id

    def get(self, id: str) -> Resource | None:
        return self.rows.get(id.lower())

    def parents(self, child: str) -> list[Lineage]:
        return [edge for edge in self.edges if edge.child == child]

    def children(self, parent: str) -> list[Lineage]:
        return [edge for edge in self.edges if edge.parent == parent]

    def shares(self, id: ResourceId) -> set[str]:
        return {key.rpartition("microsoft.compute/")[2] for key in sharing_keys(self, id.text)}


def test_images_of_one_snapshot_and_versions_of_them_share() -> None:
    family = Family()
    snapshot, other = family.add(SNAPSHOTS, "snap"), family.add(SNAPSHOTS, "other")
    golden = family.add(IMAGES, "Golden", snapshot)
    family.add(IMAGES, "Sibling", snapshot, other)
    stranger = family.add(IMAGES, "Stranger", other)
    family.add(GALLERY_IMAGES, GALLERY)
    version = family.add(GALLERY_VERSIONS, f"{GALLERY}/1.0.0", golden, snapshot)
    definition = "galleries/films/images/renderer"
    together = {"images/golden", "images/sibling", definition, f"{definition}/versions/1.0.0"}
    assert family.shares(golden) == family.shares(version) == together
    assert family.shares(stranger) == {"images/stranger", "images/sibling"}
    del family.rows[golden.key]  # the version was bound to the snapshot itself as well
    family.edges = [edge for edge in family.edges if edge.child != golden.key]
    assert family.shares(version) == together - {"images/golden"}
    family.add(GALLERY_VERSIONS, f"{GALLERY}/2.0.0", other)
    named = at(GALLERY_IMAGES, GALLERY)
    assert {"images/sibling", "images/stranger"} < family.shares(named), "a definition is all its versions"
    assert family.shares(at(IMAGES, "gone")) == {"images/gone"}


def test_latest_is_the_highest_number_that_may_be_taken() -> None:
    family = Family()
    definition = family.add(GALLERY_IMAGES, GALLERY)
    assert resolve(family, definition.text) is None
    for number in ("1.0.0", "1.10.0", "1.9.7"):
        family.add(GALLERY_VERSIONS, f"{GALLERY}/{number}")
    family.add(GALLERY_VERSIONS, f"{GALLERY}/3.0.0", hidden=True)
    family.add(GALLERY_VERSIONS, f"{GALLERY}/2.0.0", state=ResourceState.CREATING)
    for id in (
        definition.text,
        definition.text + "/",
        definition.text.upper(),
        definition.text + "/versions/latest",
    ):
        found = resolve(family, id)
        assert found is not None
        assert found.name == f"{GALLERY}/1.10.0"
    pinned = resolve(family, at(GALLERY_VERSIONS, f"{GALLERY}/3.0.0").text)
    assert pinned is not None
    assert pinned.name.endswith("3.0.0"), "a pinned version may be one that latest passes over"
    family.add(SNAPSHOTS, "snap")
    assert resolve(family, at(SNAPSHOTS, "snap").text) is None
