"""Container images in one archive, as `docker save`, `podman save`, `skopeo` and `buildah` write them, told by their
bytes: an OCI image layout, or docker's own layout with a manifest.json.

Of the image only its layers count: they become one directory. What it says of commands and variables is for containers.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolwright.images import layers
from poolwright.images.base import BuildFailed, UnsupportedImage
from poolwright.images.programs import run

LAYER_TIMEOUT_S = 3600.0
DOCUMENT_BYTES_MAX = 4 * 1024**2  # a manifest has some kilobytes
LAYERS_MAX = 500  # docker itself stops at 127
_DEPTH_MAX = 4  # indexes that lead to indexes
_PIECE_BYTES = 4 * 1024**2
_PARTS = re.compile(
    r"(blobs(/.*)?|index\.json|oci-layout|manifest\.json|repositories|[0-9a-f]{64}(/.*|\.json|\.tar(\.gz)?)?)\Z"
)
"""Names in such an archive. The first name that is none of them tells that it is something else."""
_DIGEST = re.compile(r"sha(256|512):[0-9a-f]{64,128}\Z")
_ZSTD = b"\x28\xb5\x2f\xfd"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class _Blob:
    """A part of the archive: its name, and the digest it must have where that is known."""

    name: str
    digest: str | None = None


class Archive:
    """A container image in an open tar archive."""

    def __init__(self, tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
        self._tar, self._members = tar, members

    def unpack(self, tree: Path) -> None:
        """Lay all layers over the empty directory `tree`, lowest first. Raises UnsupportedImage."""
        blobs = self._oci_layers() if "index.json" in self._members else self._docker_layers()
        if not 1 <= len(blobs) <= LAYERS_MAX:
            raise UnsupportedImage(f"the image has {len(blobs)} layers; 1 to {LAYERS_MAX} are read here")
        for number, blob in enumerate(blobs):
            self._lay(blob, number, tree)

    def _docker_layers(self) -> list[_Blob]:
        images = self._document(_Blob("manifest.json"))
        if not isinstance(images, list) or len(images) != 1:
            names = [name for image in images for name in image.get("RepoTags") or ["an unnamed one"]]
            raise UnsupportedImage(
                f"the archive holds {len(images)} images ({', '.join(names)}): save one alone"
            )
        return [_Blob(_clean(str(name))) for name in images[0].get("Layers") or []]

    def _oci_layers(self) -> list[_Blob]:
        found = self._document(_Blob("index.json"))
        for _ in range(_DEPTH_MAX):
            if "layers" in found:
                return [self._blob(layer) for layer in found["layers"]]
            found = self._document(self._blob(_choose(found.get("manifests") or [])))
        raise UnsupportedImage("the archive's indexes lead to no image")

    def _blob(self, descriptor: dict[str, Any]) -> _Blob:
        digest = str(descriptor.get("digest"))
        if _DIGEST.match(digest) is None:
            raise UnsupportedImage(f"{digest[:100]!r} is no digest of a blob")
        if "urls" in descriptor and f"blobs/{digest.replace(':', '/')}" not in self._members:
            raise UnsupportedImage(
                "a layer is not in the archive but elsewhere: save the image with all its layers"
            )
        return _Blob(f"blobs/{digest.replace(':', '/')}", digest)

    def _document(self, blob: _Blob) -> Any:
        raw = b"".join(self._pieces(blob, DOCUMENT_BYTES_MAX))
        try:
            return json.loads(raw)
        except ValueError as error:
            raise UnsupportedImage(f"{blob.name} in the archive is no JSON: {error}") from None

    def _pieces(self, blob: _Blob, most: int | None = None) -> Iterator[bytes]:
        """The bytes of a part, whose digest is checked at their end."""
        member = self._members.get(blob.name)
        source = None if member is None else self._tar.extractfile(member)
        if member is None or source is None:
            raise UnsupportedImage(f"{blob.name} is missing in the archive")
        if most is not None and member.size > most:
            raise UnsupportedImage(
                f"{blob.name} in the archive has {member.size} bytes; at most {most} are read"
            )
        kind = "sha256" if blob.digest is None else blob.digest.partition(":")[0]
        whole = hashlib.new(kind)
        while piece := source.read(_PIECE_BYTES):
            whole.update(piece)
            yield piece
        if blob.digest is not None and whole.hexdigest() != blob.digest.partition(":")[2]:
            raise UnsupportedImage(f"the archive is damaged: {blob.name} does not have its digest")

    def _lay(self, blob: _Blob, number: int, tree: Path) -> None:
        file = tree.parent / "layer"
        try:
            with file.open("wb") as written:
                for piece in self._pieces(blob):
                    written.write(piece)
            _unzstd(file)
            with file.open("rb") as opened:
                fd = opened.fileno()
                argv = [sys.executable, "-I", layers.__file__, str(tree), str(fd)]
                run(argv, timeout_s=LAYER_TIMEOUT_S, pass_fds=[fd])
        except BuildFailed as error:
            raise UnsupportedImage(f"layer {number} cannot be unpacked: {error.output}") from error
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def open_archive(path: Path) -> Iterator[Archive | None]:
    """The container image in a tar archive; None when it is another archive.

    Archives of a root file system are told by their first name that no container image has.
    """
    with ExitStack() as stack:
        try:
            tar = stack.enter_context(tarfile.open(path, "r:*"))
            members = _members(tar)
        except (tarfile.TarError, EOFError, OSError):
            members = {}
        known = {"index.json", "manifest.json"} & members.keys()
        yield Archive(tar, members) if known else None


def _members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """All parts by name; none when one has a name that no container image has."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        name = _clean(member.name)
        if name and _PARTS.match(name) is None:
            return {}
        members[name] = _followed(member, members)
    return members


def _followed(member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> tarfile.TarInfo:
    """Old archives have a link where a layer is the same as another's."""
    if not (member.issym() or member.islnk()):
        return member
    base = member.name.rpartition("/")[0] if member.issym() else ""
    words: list[str] = []
    for word in f"{base}/{member.linkname}".split("/"):
        if word == "..":
            words = words[:-1]
        elif word not in ("", "."):
            words.append(word)
    return members.get("/".join(words), member)


def _choose(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """The manifest for this host among those of an index."""
    machine = platform.machine()
    wanted = ("linux", _ARCHITECTURES.get(machine, machine))
    fitting = []
    for manifest in manifests:
        about = manifest.get("platform")
        if about is None or (about.get("os"), about.get("architecture")) == wanted:
            fitting.append(manifest)
    if len(fitting) == 1:
        return fitting[0]
    found = ", ".join(
        f"{about.get('os')}/{about.get('architecture')}"
        for manifest in manifests
        if (about := manifest.get("platform")) is not None
    )
    what = "no image" if not fitting else f"{len(fitting)} images"
    raise UnsupportedImage(
        f"the archive holds {what} for {'/'.join(wanted)}{f' (there are: {found})' if found else ''}: save one alone"
    )


def _clean(name: str) -> str:
    return "/".join(word for word in name.split("/") if word not in ("", "."))


def _unzstd(file: Path) -> None:
    with file.open("rb") as opened:
        if opened.read(len(_ZSTD)) != _ZSTD:
            return
    plain = file.with_name("layer.tar")
    try:
        run(["zstd", "-q", "-d", "-f", "-o", str(plain), str(file)], timeout_s=LAYER_TIMEOUT_S)
        plain.rename(file)
    finally:
        plain.unlink(missing_ok=True)
