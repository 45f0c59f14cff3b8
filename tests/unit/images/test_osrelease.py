from __future__ import annotations

import pytest

from poolwright.images.osrelease import OsRelease, agent_sku, parse_os_release


def test_a_release_is_read_as_the_shell_would() -> None:
    text = """
# comment
PRETTY_NAME="Ubuntu 24.04.2 LTS"
ID=ubuntu
VERSION_ID='24.04'
VERSION_CODENAME=noble
broken line
BAD="no end
"""
    assert parse_os_release(text) == OsRelease("ubuntu", "24.04", "noble", "Ubuntu 24.04.2 LTS")


@pytest.mark.parametrize("text", ["", "NAME=x", "ID=", "\0\0\0", "#ID=debian"])
def test_a_text_without_an_id_is_no_release(text: str) -> None:
    assert parse_os_release(text) is None


@pytest.mark.parametrize(
    ("os_id", "version", "expected"),
    [
        ("debian", "12", "batch.node.debian 12"),
        ("ubuntu", "22.04", "batch.node.ubuntu 22.04"),
        ("centos", "7", "batch.node.centos 7"),
        ("centos", "8", "batch.node.el 8"),
        ("almalinux", "9.4", "batch.node.el 9"),
        ("rocky", "8.10", "batch.node.el 8"),
        ("rhel", "7.9", None),
        ("opensuse-leap", "15.6", "batch.node.opensuse 15.6"),
        ("linuxmint", "21", None),
        ("debian", "", None),
        ("debian", "trixie", None),
    ],
)
def test_a_release_has_its_own_node_agent_or_none(os_id: str, version: str, expected: str | None) -> None:
    assert agent_sku(os_id, version) == expected
