"""Carries the user's pip configuration over to uv, so that one way of naming mirrors and certificates is enough."""

from __future__ import annotations

import ast
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

_SECTIONS = ("global", "install", ":env:")
"""pip's own order of precedence, weakest first."""

_CA_BUNDLE = "SSL_CERT_FILE"


def read(pip: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """pip's settings in force for `pip install`, by option name; empty when pip cannot tell."""
    answer = subprocess.run(
        [*pip, "config", "list"],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return parse(answer.stdout) if answer.returncode == 0 else {}


def parse(listing: str) -> dict[str, str]:
    """Settings from the text of `pip config list` (lines of `section.option='value'`)."""
    by_section: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, equals, quoted = line.partition("=")
        section, dot, option = name.rpartition(".")
        if not (equals and dot) or section not in by_section:
            continue
        try:
            value = ast.literal_eval(quoted)
        except (SyntaxError, ValueError):
            continue
        by_section[section][option] = str(value)
    merged: dict[str, str] = {}
    for section in _SECTIONS:
        merged.update(by_section[section])
    return merged


def for_uv(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Environment variables that give uv the same settings. What `environ` already says for uv wins."""
    wanted = _indexes(settings) | _connection(settings, environ)
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & environ.keys():
        wanted.pop("UV_DEFAULT_INDEX", None)
    return {name: value for name, value in wanted.items() if value and name not in environ}


def _indexes(settings: Mapping[str, str]) -> dict[str, str]:
    wanted = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        "UV_INDEX": " ".join(_usable(settings.get("extra-index-url", ""))),
        "UV_FIND_LINKS": ",".join(_usable(settings.get("find-links", ""))),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "UV_KEYRING_PROVIDER": "subprocess" if settings.get("keyring-provider") == "subprocess" else "",
        "UV_NO_INDEX": "1" if settings.get("no-index", "").lower() in {"1", "true", "yes", "on"} else "",
    }
    if wanted["UV_INDEX"]:
        # pip takes a version from whichever index has it. Pinned hashes make that safe here.
        wanted["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return wanted


def _connection(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    timeout = settings.get("timeout") or settings.get("default-timeout", "")
    wanted = {
        _CA_BUNDLE: settings.get("cert", ""),
        "SSL_CLIENT_CERT": settings.get("client-cert", ""),
        "UV_HTTP_TIMEOUT": timeout if timeout.isdigit() else "",
    }
    proxy_known = {"ALL_PROXY", "HTTPS_PROXY", "all_proxy", "https_proxy"} & environ.keys()
    if not proxy_known:
        wanted["ALL_PROXY"] = settings.get("proxy", "")
    return wanted


def _usable(locations: str) -> list[str]:
    """The places in a blank-separated list that are remote or exist on this machine."""
    return [place for place in locations.split() if _reachable(place)]


def _reachable(place: str) -> bool:
    parts = urllib.parse.urlsplit(place)
    if parts.scheme == "file":
        return Path(urllib.request.url2pathname(parts.path)).exists()
    return bool(parts.scheme) or Path(place).expanduser().exists()
