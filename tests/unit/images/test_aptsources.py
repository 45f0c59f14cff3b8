from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.images.aptsources import (
    AptSource,
    distribution_sources,
    host_options,
    parse_deb822,
    parse_one_line,
    reachable_from_elsewhere,
)
from poolwright.images.osrelease import OsRelease

BOOKWORM = OsRelease("debian", "12", "bookworm", "Debian 12")
NOBLE = OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04 LTS")


def etc(tmp_path: Path, **files: str) -> Path:
    """An /etc/apt: keys are file names with `_` for the dot, `main` is sources.list itself."""
    (tmp_path / "sources.list.d").mkdir()
    for name, text in files.items():
        path = "sources.list" if name == "main" else "sources.list.d/" + name.replace("_", ".")
        (tmp_path / path).write_text(text)
    return tmp_path


def test_one_line_entries_with_options() -> None:
    text = """
# deb http://commented.example/debian bookworm main
deb [arch=amd64,arm64 signed-by=/keys/debian.gpg trusted=no] http://m.example/debian bookworm main contrib # tail
deb-src http://m.example/debian bookworm main
nonsense
"""
    assert list(parse_one_line(text)) == [
        AptSource(
            ("http://m.example/debian",),
            ("bookworm",),
            ("main", "contrib"),
            "/keys/debian.gpg",
            (("Architectures", "amd64 arm64"), ("Trusted", "no")),
        )
    ]


def test_deb822_stanzas() -> None:
    text = """Types: deb deb-src
URIs: http://m.example/debian
 http://n.example/debian
Suites: bookworm bookworm-updates
# a comment in between
Components: main
Check-Valid-Until: no
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF==
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb-src
URIs: http://m.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://m.example/debian
Suites: bookworm-backports
Components: main
"""
    (source,) = parse_deb822(text)
    assert source.uris == ("http://m.example/debian", "http://n.example/debian")
    assert source.suites == ("bookworm", "bookworm-updates")
    assert source.options == (("Check-Valid-Until", "no"),)
    assert source.keyring_files == ()
    assert list(parse_deb822(source.stanza())) == [source]


def test_third_parties_are_left_out(tmp_path: Path) -> None:
    debian = "deb http://deb.example/debian bookworm main non-free-firmware\n"
    others = [
        "deb [signed-by=/etc/apt/keyrings/docker.asc] https://docker.example/linux/debian bookworm stable",
        "deb https://pg.example/pub/repos/apt bookworm-pgdg main",
        "deb [signed-by=/usr/share/keyrings/microsoft.gpg] https://ms.example/debian/12/prod bookworm main",
        "deb http://deb.example/debian trixie main",
        "deb cdrom:[Debian]/ bookworm main",
        "deb file:/srv/mirror bookworm main",
    ]
    place = etc(
        tmp_path,
        main=debian + "\n".join(others),
        ignored_disabled="deb http://x.example/debian bookworm main",
    )
    assert distribution_sources(BOOKWORM, place) == (
        AptSource(("http://deb.example/debian",), ("bookworm",), ("main", "non-free-firmware"), ""),
    )


def test_the_release_itself_comes_first(tmp_path: Path) -> None:
    place = etc(
        tmp_path,
        a_list="deb http://security.example/ubuntu noble-security main universe\n",
        b_sources="Types: deb\nURIs: http://archive.example/ubuntu\nSuites: noble noble-updates noble-pgdg\n"
        "Components: main universe\nSigned-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n",
    )
    found = distribution_sources(NOBLE, place)
    assert [source.suites for source in found] == [("noble", "noble-updates"), ("noble-security",)]


def test_a_mirror_list_gives_its_first_mirror(tmp_path: Path) -> None:
    mirrors = tmp_path / "debian.list"
    mirrors.write_text("# mirrors\nhttps://first.example/debian\tpriority:1\nhttps://second.example/debian\n")
    text = f"Types: deb\nURIs: mirror+file://{mirrors}\nSuites: bookworm\nComponents: main\n"
    assert [source.uris for source in parse_deb822(text)] == [("https://first.example/debian",)]


def test_a_host_without_sources_has_none(tmp_path: Path) -> None:
    assert distribution_sources(BOOKWORM, tmp_path) == ()
    assert (
        distribution_sources(
            OsRelease("arch", "", "", "Arch"), etc(tmp_path, main="deb http://a.example/x b main")
        )
        == ()
    )


def test_the_environments_proxy_is_used_where_apt_has_none() -> None:
    lines = host_options({"http_proxy": "http://proxy.example:3128", "HTTPS_PROXY": 'http://a"b'})
    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in lines
    assert not [line for line in lines if line.startswith("Acquire::https::Proxy")]
    assert [line for line in lines if line.startswith("Acquire::Retries ")]


@pytest.mark.parametrize(
    ("line", "reachable"),
    [
        ('Acquire::http::Proxy "http://localhost:3142";', False),
        ('Acquire::https::Proxy "http://u:p@127.0.0.1:3142";', False),
        ('Acquire::http::Proxy::deb.example "http://[::1]:3142";', False),
        ('Acquire::http::Proxy "http://proxy.example:3142";', True),
        ('Acquire::http::Proxy "http://localhost.example:3142";', True),
        ('Acquire::Retries "3";', True),
    ],
)
def test_a_proxy_on_loopback_is_of_no_use_to_a_machine(line: str, reachable: bool) -> None:
    assert reachable_from_elsewhere(line) is reachable
