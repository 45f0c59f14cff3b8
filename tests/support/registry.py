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
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from poolwright.api.identity import ensure_tls
from poolwright.images.osrelease import parse_os_release
from poolwright.images.rootfs import Build, HostRootfs
from poolwright.serve.system import SystemClock
from tests.support.waiting import wait_until

CACHE = Path(__file__).parents[2] / ".dev" / "cache"
RECIPE = 1
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_LAYER, _CONFIG = "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.config.v1+json"
_APPLETS = (
    "cat chmod chown df echo env false head hostname id ls mkdir mount nproc ps pwd rm sh sleep touch true"
).split()
_START_S = 60.0


class Registry:
    """One running registry. `login` is (user name, password) if it asks for one; with `tls` it speaks HTTPS only, by a
    certificate of an authority of its own (`ca_file`)."""

    def __init__(self, directory: Path, login: tuple[str, str] | None = None, tls: bool = False) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._log, self._login = directory / "registry.log", login
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
        self._directory, self._config, self._tree = directory, config, tree
        self.server = ""
        self.start()

    def start(self) -> None:
        """Start it, on the port it had before."""
        if self.server:
            settings = json.loads(self._config.read_text())
            settings["http"]["addr"] = self.server
            self._config.write_text(json.dumps(settings))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(self._tree / "usr/bin/docker-registry"), "serve", str(self._config)],
                cwd=self._directory,
                env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._address, _START_S, lambda: self._log.read_text(errors="replace"))
        except AssertionError:
            self.stop()
            raise
        self.server = self._address()

    def _address(self) -> str:
        text = self._log.read_text(errors="replace")
        found = text.rpartition("listening on 127.0.0.1:")[2]
        port = found[: len(found) - len(found.lstrip("0123456789"))]
        return f"127.0.0.1:{port}" if port and port != "0" else ""

    def stop(self) -> None:
        """End it; what was pushed stays."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def asked(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

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
    """The registry and a static shell of the host's own release, unpacked once and kept."""
    kept = CACHE / f"registry-{RECIPE}"
    if not kept.exists():
        release = parse_os_release(Path("/etc/os-release").read_text())
        assert release is not None
        work = Path(tempfile.mkdtemp(dir=CACHE))
        lock = os.open(work / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            build = Build(lambda *_: None, lock, threading.Event())
            HostRootfs(release).extract(work, build, ("docker-registry", "busybox-static"))
        finally:
            os.close(lock)
        (work / "rootfs").rename(kept)
        shutil.rmtree(work)
    return kept


def _hashed(password: str) -> str:
    """By bcrypt, the only way the registry reads (crypt(3), with a fixed salt)."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    made: bytes = crypt(password.encode(), b"$2y$04$abcdefghijklmnopqrstuu")
    return made.decode()


def _machine() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
