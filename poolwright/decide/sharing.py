"""Which images count as one when the nodes made from them are counted: those whose bytes come from the same source."""

from __future__ import annotations

from poolwright.domain.gallery import IMAGE_OF, Ancestry, names_of, versions
from poolwright.domain.resource_id import GALLERY_IMAGES, IMAGE_TYPES, image_key


def sharing_keys(rows: Ancestry, image_id: str) -> frozenset[str]:
    """The keys (see `gallery.names_of`) of every image that shares a limit with this one, itself among them.

    Public rule: the limit holds for the sum over all pools that use the image or an image made from the same
    underlying snapshot. An image shares with what has a source in common with it and with versions made from it. A
    definition stands for all of its versions, since nodes of its pools may be of any.
    """
    named = rows.get(image_key(image_id))
    if named is None:
        return frozenset({image_key(image_id)})
    family = {named.key}
    own = versions(rows, named.key) if named.type == GALLERY_IMAGES else [named]
    for image in own:
        origins = {edge.parent for edge in rows.parents(image.key) if edge.kind == IMAGE_OF}
        family |= {image.key} | origins
        for origin in (image.key, *origins):
            family |= {edge.child for edge in rows.children(origin) if edge.kind == IMAGE_OF}
    keys = {named.key}
    for key in family:
        member = rows.get(key)
        if member is not None and member.type in IMAGE_TYPES:
            keys.update(names_of(member))
    return frozenset(keys)
