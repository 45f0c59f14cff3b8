"""A real image registry for tests, and small images to put into it.

The registry is the distribution project's own, of the host's release, on a free port of loopback. It is unpacked once
into `.dev/cache` with the programs that images are made of; nothing is installed on the host.
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from poolwright.api.identity import ensure_tls
from poolwright.serve.system import SystemClock
from tests.support.kept import unpacked
from tests.support.server import Server

RECIPE = 2
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER, _CONFIG = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.config.v1+json"
_APPLETS = (
    "cat chmod chown df echo env false head hostname id ls mkdir mount nproc ps pwd rm sh sleep touch true"
).split()
_LISTENING = r"listening on 127\.0\.0\.1:([1-9]\d*)"


class Registry:
    """One running registry. `login` is (user name, password) if it asks for one; with `tls` it speaks HTTPS only, by a
    certificate of an authority of its own (`ca_file`)."""

    def __init__(self, directory: Path, login: tuple[str, str] | None = None, tls: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._login = login
        tree = programs()
        settings: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "info"},
            "storage": {
                "filesystem": {"rootdirectory": str(directory / "store")},
                "delete": {"enabled": True},
            },
            "http": {"addr": "127.0.0.1:0"},
        }
        if login is not None:
            (directory / "htpasswd").write_text(f"{login[0]}:{_hashed(login[1])}\n")
            settings["auth"] = {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}}
        self._scheme = "http"
        self._session = requests.Session()
        self._session.trust_env = False
        if tls:
            made = ensure_tls(directory, SystemClock())
            self.ca_file = made.ca_file
            self._scheme, self._session.verify = "https", str(made.ca_file)
            settings["http"]["tls"] = {
                "certificate": str(made.certificate_file),
                "key": str(made.key_file),
            }
        config = directory / "config.yml"
        config.write_text(json.dumps(settings))
        self._config, self._tree = config, tree
        self.server = ""
        self.start()

    def start(self) -> None:
        """Start it, on the port it had before."""
        if self.server:
            settings = json.loads(self._config.read_text())
            settings["http"]["addr"] = self.server
            self._config.write_text(json.dumps(settings))
        command = [str(self._tree / "usr/bin/docker-registry"), "serve", str(self._config)]
        quiet = {"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"}
        self._process = Server(command, self._config.with_name("registry.log"), _LISTENING, quiet)
        self.server = f"127.0.0.1:{self._process.port}"

    def stop(self) -> None:
        """End it; what was pushed stays."""
        self._process.stop()

    def asked(self) -> str:
        """Its log."""
        return self._process.said()

    def push(
        self,
        name: str,
        layers: Sequence[bytes] | None = None,
        tag: str = "latest",
        kind: str = MANIFEST,
        **config: Any,
    ) -> str:
        """Put an image there; returns its digest. Without layers it has a shell. `config` is the image's own
        (`Env`, `Entrypoint`, `Cmd`, `WorkingDir`, `User`)."""
        layers = [busybox()] if layers is None else layers
        about = {
            "architecture": _machine(),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": self.blob(name, json.dumps(about).encode(), _CONFIG),
            "layers": [self.blob(name, layer, _LAYER) for layer in layers],
        }
        return self.manifest(name, tag, manifest)

    def manifest(self, name: str, tag: str, manifest: Mapping[str, Any]) -> str:
        """Put a manifest or an index there; returns its digest."""
        raw = json.dumps(manifest).encode()
        url = f"{self._scheme}://{self.server}/v2/{name}/manifests/{tag}"
        answer = self._session.put(
            url, raw, headers={"Content-Type": str(manifest["mediaType"])}, auth=self._login, timeout=30
        )
        assert answer.status_code == 201, answer.text
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"

    def blob(self, name: str, data: bytes, kind: str) -> dict[str, Any]:
        """Put a blob there; returns its descriptor."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        uploads = f"{self._scheme}://{self.server}/v2/{name}/blobs/uploads/"
        begun = self._session.post(uploads, auth=self._login, timeout=30)
        assert begun.status_code == 202, begun.text
        join = "&" if "?" in begun.headers["Location"] else "?"
        url = f"{begun.headers['Location']}{join}digest={digest}"
        headers = {"Content-Type": "application/octet-stream"}
        done = self._session.put(url, data, headers=headers, auth=self._login, timeout=60)
        assert done.status_code == 201, done.text
        return {"mediaType": kind, "digest": digest, "size": len(data)}


@contextlib.contextmanager
def registry(directory: Path, login: tuple[str, str] | None = None, tls: bool = False) -> Iterator[Registry]:
    """A registry for the time of a `with`."""
    made = Registry(directory, login, tls)
    try:
        yield made
    finally:
        made.stop()


def layer(
    files: Mapping[str, bytes | str | None], mode: int = 0o755, owner: tuple[int, int] = (0, 0)
) -> bytes:
    """A layer: contents by path; text stands for the target of a link, None for a directory. `owner` is user and
    group of all."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.mode = mode
            entry.uid, entry.gid = owner
            if content is None:
                entry.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content) if isinstance(content, bytes) else None)
    return gzip.compress(data.getvalue(), mtime=0)


def busybox(**more: bytes) -> bytes:
    """A layer with a shell and the usual small programs."""
    program = (programs() / "bin/busybox").read_bytes()
    files: dict[str, bytes | str | None] = {"bin": None, "etc": None, "tmp": None, "bin/busybox": program}
    files |= {f"bin/{name}": "busybox" for name in _APPLETS}
    return layer({**files, "etc/passwd": b"root:x:0:0::/root:/bin/sh\n", **more})


def programs() -> Path:
    """The registry and a static shell."""
    return unpacked(f"registry-{RECIPE}", ("docker-registry", "busybox-static"), lambda _: None) / "rootfs"


def _hashed(password: str) -> str:
    """By bcrypt, the only way the registry reads (crypt(3), with a fixed salt)."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    made: bytes = crypt(password.encode(), b"$2y$04$abcdefghijklmnopqrstuu")
    return made.decode()


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
