"""The host's own package sources: what apt on this host installs the distribution from.

Reads one-line (sources.list(5)) and deb822 files and keeps only the distribution itself: a third party's package could
make the base image depend on a key or a network it will not have.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from poolwright.images.osrelease import OsRelease
from poolwright.images.programs import environment, find_program

_COMPONENTS = {
    "debian": frozenset({"main", "contrib", "non-free", "non-free-firmware"}),
    "ubuntu": frozenset({"main", "restricted", "universe", "multiverse"}),
}
_POCKETS = ("", "-updates", "-security", "/updates", "-backports", "-proposed-updates")
_ORIGIN = {"debian": "debian", "ubuntu": "ubuntu"}
_SCHEMES = ("http://", "https://")
_MIRROR_LIST = "mirror+file:"
MAX_SOURCE_FILES = 200
MAX_SOURCE_BYTES = 1024**2
APT_TIMEOUT_S = 30.0
APT_RETRIES = 3
_KEPT_OPTIONS = re.compile(
    r"Acquire::(https?::(Proxy|Timeout|Pipeline-Depth)|Check-(Valid-Until|Date)|Force(IPv4|IPv6)|Retries|Languages)(::|\s)"
)
_LOOPBACK = re.compile(r'::Proxy\S* "\w+://([^/@"]*@)?(localhost|127\.[\d.]+|\[::1\])[:/"]')
_ONE_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?:\s+(?P<components>.*))?"
)


@dataclass(frozen=True, slots=True)
class AptSource:
    """One deb822 stanza for binary packages. ``options`` are further fields, names as deb822 has them."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str
    options: tuple[tuple[str, str], ...] = ()

    def stanza(self) -> str:
        lines = ["Types: deb", f"URIs: {' '.join(self.uris)}", f"Suites: {' '.join(self.suites)}"]
        lines.append(f"Components: {' '.join(self.components)}")
        lines += [f"{name}: {value}" for name, value in self.options]
        if self.signed_by:
            lines.append(f"Signed-By: {self.signed_by}")
        return "\n".join(lines) + "\n"

    @property
    def keyring_files(self) -> tuple[str, ...]:
        """Files Signed-By names; an embedded key or a fingerprint names none."""
        return tuple(word for word in self.signed_by.split() if word.startswith("/"))


def distribution_sources(release: OsRelease, etc: Path = Path("/etc/apt")) -> tuple[AptSource, ...]:
    """Sources of the release itself, the one with the plain code name first; empty when there are none."""
    kept = [ours for source in _read_all(etc) if (ours := _only_distribution(source, release)) is not None]
    return tuple(sorted(kept, key=lambda source: release.codename not in source.suites))


def host_options(env: Mapping[str, str]) -> tuple[str, ...]:
    """apt.conf(5) lines about reaching the sources: the host's proxies, retries and checks.

    Where apt has no proxy of its own, the one of the environment ``env``.
    """
    argv = [find_program("apt-config"), "dump"]
    dump = subprocess.run(
        argv, capture_output=True, text=True, timeout=APT_TIMEOUT_S, env=environment(), check=False
    )
    lines = [
        line for line in dump.stdout.splitlines() if _KEPT_OPTIONS.match(line) and not line.endswith(' "";')
    ]
    for scheme in ("http", "https"):
        proxy = env.get(f"{scheme}_proxy") or env.get(f"{scheme.upper()}_PROXY")
        if (
            proxy
            and '"' not in proxy
            and not any(line.startswith(f"Acquire::{scheme}::Proxy ") for line in lines)
        ):
            lines.append(f'Acquire::{scheme}::Proxy "{proxy}";')
    if not any(line.startswith("Acquire::Retries ") for line in lines):
        lines.append(f'Acquire::Retries "{APT_RETRIES}";')
    return tuple(lines)


def reachable_from_elsewhere(line: str) -> bool:
    """False for a proxy on the host's loopback address, which a machine with a network of its own cannot reach."""
    return _LOOPBACK.search(line) is None


def _read_all(etc: Path) -> Iterator[AptSource]:
    parts = sorted((etc / "sources.list.d").glob("*")) if (etc / "sources.list.d").is_dir() else []
    for path in [etc / "sources.list", *parts][:MAX_SOURCE_FILES]:
        if not path.is_file() or path.stat().st_size > MAX_SOURCE_BYTES:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".sources":
            yield from parse_deb822(text)
        elif path.suffix == ".list":
            yield from parse_one_line(text)


def parse_one_line(text: str) -> Iterator[AptSource]:
    """Entries of the classic format."""
    for raw in text.splitlines():
        match = _ONE_LINE.fullmatch(raw.partition("#")[0].strip())
        if match is None:
            continue
        fields = {}
        for option in (match["options"] or "").split():
            name, _, value = option.partition("=")
            fields[_FIELD_OF_OPTION.get(name.lower(), name.title())] = value.replace(",", " ")
        signed_by = fields.pop("Signed-By", "")
        components = tuple((match["components"] or "").split())
        uris = _resolve((match["uri"],))
        yield AptSource(uris, (match["suite"],), components, signed_by, tuple(fields.items()))


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Stanzas of the deb822 format that offer binary packages."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields = _fields(block)
        enabled = fields.pop("enabled", "yes").strip().lower() not in _FALSE
        if "deb" not in fields.pop("types", "").split() or not enabled:
            continue
        uris = _resolve(tuple(fields.pop("uris", "").split()))
        suites = tuple(fields.pop("suites", "").split())
        components = tuple(fields.pop("components", "").split())
        signed_by = fields.pop("signed-by", "")
        kept = ((name, value) for name, value in fields.items() if not name.startswith("x-"))
        options = tuple((name.title(), " ".join(value.split())) for name, value in kept)
        yield AptSource(uris, suites, components, signed_by, options)


_FALSE = frozenset({"no", "false", "without", "off", "disable", "0"})
_FIELD_OF_OPTION = {
    "arch": "Architectures",
    "lang": "Languages",
    "target": "Targets",
    "signed-by": "Signed-By",
}


def _fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    last = ""
    for line in block.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and last:
            fields[last] += "\n" + line.rstrip()
        elif ":" in line:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            fields[last] = value.strip()
    return fields


def _resolve(uris: tuple[str, ...]) -> tuple[str, ...]:
    """Mirror lists on the host (cloud images have them) replaced by their first mirror."""
    found = []
    for listed in uris:
        uri = listed
        if uri.startswith(_MIRROR_LIST):
            path = Path(uri.removeprefix(_MIRROR_LIST).replace("//", "/", 1))
            lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
            uri = next((line.split()[0] for line in lines if line.strip() and not line.startswith("#")), "")
        if uri.startswith(_SCHEMES):
            found.append(uri)
    return tuple(found)


def _only_distribution(source: AptSource, release: OsRelease) -> AptSource | None:
    suites = tuple(
        suite for suite in source.suites if suite in {release.codename + pocket for pocket in _POCKETS}
    )
    components = tuple(c for c in source.components if c in _COMPONENTS.get(release.id, frozenset()))
    uris = tuple(uri for uri in source.uris if _known_origin(uri, suites, release.id))
    own_keys = all(Path(file).name.startswith(f"{release.id}-archive") for file in source.keyring_files)
    if not (suites and components and uris and own_keys) or len(components) != len(source.components):
        return None
    return AptSource(uris, suites, components, source.signed_by, source.options)


def _known_origin(uri: str, suites: tuple[str, ...], distribution: str) -> bool:
    """False when apt's copy of the source's index says that somebody else publishes it."""
    stem = uri.partition("://")[2].rstrip("/").replace("_", "%5f").replace("/", "_")
    for suite in suites:
        path = Path("/var/lib/apt/lists") / f"{stem}_dists_{suite.replace('/', '_')}_InRelease"
        if path.is_file():
            origin = re.search(r"^Origin: *(.*)$", path.read_text(errors="replace")[:4096], re.MULTILINE)
            if origin and origin[1].strip().lower() != _ORIGIN.get(distribution):
                return False
    return True
