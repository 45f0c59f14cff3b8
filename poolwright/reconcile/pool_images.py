"""From a pool's image to disks: custom images by their rows, marketplace images by the image plane's bases."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.catalogue import find_image
from poolwright.domain.clock import MINUTE, SECOND, Clock, Instant, Micros
from poolwright.domain.compute import image_state
from poolwright.domain.gallery import resolve
from poolwright.domain.marketplace import find
from poolwright.domain.pool import ImageReference, Pool
from poolwright.domain.resource_id import image_key
from poolwright.domain.states import ResourceState
from poolwright.engines.base import DiskMount
from poolwright.images.base import DiskInfo, ImagePlane, ImagePlaneError, MarketplaceImage
from poolwright.reconcile.images import DiskSet
from poolwright.store.base import Tx

_log = logging.getLogger(__name__)

#: A base image that could not be built is tried again after this, if a pool still asks for it.
RETRY_AFTER: Micros = MINUTE
#: The catalogue is read from directories; what it offered is believed for so long, since every pass asks.
OFFER_BELIEVED: Micros = 10 * SECOND
OFFERS_MAX = 1000
_URN_PARTS = 4


class PoolImages:
    """An `ImageSource` over the image plane. Base images are built one at a time, beside the loops.

    `simulated` names the operating systems whose machines may be pretended when their disks cannot be made here.
    """

    def __init__(self, images: ImagePlane, clock: Clock, simulated: frozenset[str] = frozenset()) -> None:
        self._simulated = simulated
        self._images = images
        self._clock = clock
        self._builder = ThreadPoolExecutor(1, thread_name_prefix="base-image")
        self._guard = threading.Lock()
        self._building: dict[MarketplaceImage, Future[DiskInfo]] = {}
        self._progress: dict[MarketplaceImage, str] = {}
        self._ready: dict[MarketplaceImage, str] = {}
        self._failed: dict[MarketplaceImage, tuple[Instant, str]] = {}
        self._offers: dict[ImageReference, tuple[Instant, MarketplaceImage | None]] = {}

    def close(self) -> None:
        """Take no further builds; the image plane's own `close` ends one that runs."""
        self._builder.shutdown(wait=False, cancel_futures=True)

    def disks_for(self, tx: Tx, pool: Pool) -> DiskSet | ImagePreparing | ImageMissing:
        """The disks, or why there are none (yet). Never blocks, has no effect."""
        reference = pool.spec.image
        if reference.image_id is not None:
            return self._custom(tx, reference.image_id)
        return self._marketplace(reference)

    def disks_of(self, tx: Tx, image: str) -> DiskSet | None:
        """The disks of what a node was made from; None when they are not there (yet)."""
        parts = image.split(":")
        if image.startswith("/"):
            answer = self._custom(tx, image)
        elif len(parts) == _URN_PARTS:
            answer = self._marketplace(ImageReference(None, *parts))
        else:
            return None
        return answer if isinstance(answer, DiskSet) else None

    def prepare(self, pool: Pool) -> None:
        """Begin to build the pool's base image unless that goes on already."""
        image = self._offered(pool.spec.image)
        if image is None:
            return
        with self._guard:
            if image in self._building or image in self._ready:
                return
            self._failed.pop(image, None)
            future = self._builder.submit(self._images.ensure_base, image, self._follow(image))
            self._building[image] = future
        future.add_done_callback(lambda done: self._built(image, done))

    def _custom(self, tx: Tx, image_id: str) -> DiskSet | ImagePreparing | ImageMissing:
        resource = resolve(tx.resources, image_id)
        if resource is None:
            return ImageMissing(image_id, _why_none(tx, image_id))
        if resource.state is not ResourceState.SUCCEEDED:
            return ImageMissing(image_id, f"The image is in state {resource.state.value}.")
        made = image_state(resource.inner)
        try:
            os_path = str(self._images.path(made.os_disk))
            data = tuple(
                DiskMount(
                    disk.lun,
                    str(self._images.path(disk.name)),
                    offset=disk.volume[0],
                    size=disk.volume[1],
                )
                for disk in made.data_disks
            )
        except ImagePlaneError as error:
            return ImageMissing(image_id, f"The image's disks cannot be used: {error}")
        return DiskSet(os_path, data, made.os_type.lower(), made.os_volume, image=resource.id)

    def _marketplace(self, reference: ImageReference) -> DiskSet | ImagePreparing | ImageMissing:
        name = "/".join(part or "latest" for part in _parts(reference))
        image = self._offered(reference)
        if image is None:
            return self._not_offered(reference, name)
        with self._guard:
            ready = self._ready.get(image)
            if ready is not None:
                return DiskSet(ready, image=image.urn)
            failed = self._failed.get(image)
            if failed is not None and self._clock.now() - failed[0] < RETRY_AFTER:
                return ImageMissing(name, failed[1])
            return ImagePreparing(self._progress.get(image, "The base image is waiting to be built."))

    def _not_offered(self, reference: ImageReference, name: str) -> DiskSet | ImageMissing:
        supported = find_image(*_parts(reference)[:3])
        os = "linux" if supported is None else supported.os_type
        if os in self._simulated:
            return DiskSet(f"simulated:{name}", os=os, made=False)
        lacks = (
            "it builds Linux images only" if os != "linux" else "its package sources do not hold that system"
        )
        hint = "images it can build are listed as verified, and with --simulate the nodes are simulated"
        return ImageMissing(name, f"This host cannot build the marketplace image {name}: {lacks}; {hint}.")

    def _offered(self, reference: ImageReference) -> MarketplaceImage | None:
        """The image that the reference stands for here. Raises OSError."""
        now = self._clock.now()
        known = self._offers.get(reference)
        if known is not None and now - known[0] < OFFER_BELIEVED:
            return known[1]
        offer = self._in_catalogue(reference)
        if len(self._offers) >= OFFERS_MAX:
            self._offers.clear()
        self._offers[reference] = (now, offer)
        return offer

    def _in_catalogue(self, reference: ImageReference) -> MarketplaceImage | None:
        publisher, offer, sku, version = _parts(reference)
        found = find(self._images.catalogue(), publisher, offer, sku, version or "latest")
        if found is None:
            return None
        exact = found.image
        return MarketplaceImage(exact.publisher, exact.offer, exact.sku, exact.version)

    def _follow(self, image: MarketplaceImage) -> _Follower:
        return _Follower(self._progress, image)

    def _built(self, image: MarketplaceImage, done: Future[DiskInfo]) -> None:
        with self._guard:
            self._building.pop(image, None)
            self._progress.pop(image, None)
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                self._ready[image] = str(done.result().path)
                return
            _log.error("base image %s could not be built: %s", image.urn, error)
            self._failed[image] = (self._clock.now(), f"The base image could not be built: {error}")


class _Follower:
    """Keeps the newest word on a build."""

    def __init__(self, progress: dict[MarketplaceImage, str], image: MarketplaceImage) -> None:
        self._progress = progress
        self._image = image

    def __call__(self, stage: str, share: float) -> None:
        self._progress[self._image] = f"The base image is being built: {stage} ({share:.0%})."


def _why_none(tx: Tx, image_id: str) -> str:
    named = tx.resources.get(image_key(image_id))
    if named is None:
        return "The image does not exist any more."
    return "No version of the image is whole and may be taken as the latest."


def _parts(reference: ImageReference) -> tuple[str, str, str, str]:
    return reference.publisher or "", reference.offer or "", reference.sku or "", reference.version or ""
