"""pip's settings as uv reads them, and the system packages of a host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tools import pip_settings, system_packages
from tools.failure import HOST_NOT_READY, Failure


def test_the_environment_beats_install_options_which_beat_global_ones() -> None:
    listing = (
        "global.cert='/a'\ninstall.cert='/b'\n:env:.cert='/c'\nglobal.timeout='9'\ndownload.timeout='1'\n"
    )
    assert pip_settings.parse(listing) == {"cert": "/c", "timeout": "9"}


def test_lines_that_are_no_settings_are_passed_over() -> None:
    assert pip_settings.parse(
        "WARNING: odd\nglobal.cert=unquoted words\n\n=\nglobal.index-url='http://h/s'"
    ) == {"index-url": "http://h/s"}


def test_mirrors_certificates_and_time_limits_reach_uv(tmp_path: Path) -> None:
    settings = {
        "index-url": "https://mirror.example/simple",
        "extra-index-url": f"https://more.example/simple file://{tmp_path}",
        "find-links": str(tmp_path),
        "cert": "/certs.pem",
        "default-timeout": "180",
        "trusted-host": "mirror.example",
        "proxy": "http://proxy.example:3128",
    }
    assert pip_settings.for_uv(settings, {}) == {
        "UV_DEFAULT_INDEX": "https://mirror.example/simple",
        "UV_INDEX": f"https://more.example/simple file://{tmp_path}",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(tmp_path),
        "SSL_CERT_FILE": "/certs.pem",
        "UV_HTTP_TIMEOUT": "180",
        "UV_INSECURE_HOST": "mirror.example",
        "ALL_PROXY": "http://proxy.example:3128",
    }


def test_local_places_that_do_not_exist_are_left_out(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    settings = {"extra-index-url": f"file://{gone}", "find-links": str(gone)}
    assert pip_settings.for_uv(settings, {}) == {}


def test_what_the_caller_set_for_uv_stays() -> None:
    settings = {"index-url": "https://mirror.example/simple", "cert": "/certs.pem", "proxy": "http://p"}
    environ = {
        "UV_INDEX_URL": "https://own.example",
        "SSL_CERT_FILE": "/own.pem",
        "https_proxy": "http://own",
    }
    assert pip_settings.for_uv(settings, environ) == {}


def test_a_package_is_missing_when_one_of_its_programs_is(tmp_path: Path) -> None:
    assert system_packages.Need("shell", programs=("sh",), files=(str(tmp_path),)).met()
    assert not system_packages.Need("shell", programs=("sh", "no-such-program-here")).met()
    assert not system_packages.Need("shell", files=(str(tmp_path / "gone"),)).met()


def test_without_root_exactly_one_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda *_, **__: "/usr/bin/apt-get")
    with pytest.raises(Failure) as caught:
        system_packages.install_or_stop(["mmdebstrap", "nftables"], "the host lacks two")
    assert caught.value.code == HOST_NOT_READY
    commands = [line for line in caught.value.message.splitlines() if line.startswith("sudo ")]
    assert commands == ["sudo apt-get install --no-install-recommends mmdebstrap nftables"]


def test_a_host_without_apt_is_told_what_to_look_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Failure, match="not Debian or Ubuntu: install the likes of nftables"):
        system_packages.install_or_stop(["nftables"], "the host lacks it")
