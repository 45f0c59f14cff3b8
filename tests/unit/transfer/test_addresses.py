"""Which addresses are connected to."""

from __future__ import annotations

import pytest

from poolwright.transfer.addresses import Policy


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "168.63.129.16",
        "0.0.0.0",
        "::",
        "255.255.255.255",
        "224.0.0.1",
    ],
)
def test_where_credentials_of_hosts_lie_is_refused(address: str) -> None:
    assert not Policy().permits(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "20.60.1.1", "2603::1"])
def test_all_else_is_allowed_unless_the_operator_says_which(address: str) -> None:
    assert Policy().permits(address)
    assert not Policy(["192.0.2.0/24"]).permits(address)


def test_the_operator_may_name_what_is_refused_otherwise() -> None:
    assert Policy(["169.254.0.0/16"]).permits("169.254.1.1")
