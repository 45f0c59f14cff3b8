"""Addresses in blocks: networks never share one, and numbers come back late."""

from __future__ import annotations

import pytest

from poolwright.engines.sandbox.host.addresses import BLOCK, Addresses, NoAddress


def test_networks_have_blocks_of_their_own() -> None:
    addresses = Addresses()
    first = [addresses.take("p") for _ in range(BLOCK + 1)]
    other, _ = addresses.take("q")
    assert [changed for _, changed in first] == [True] + [False] * (BLOCK - 1) + [True]
    blocks = {number // BLOCK for number, _ in first}
    assert len(blocks) == 2
    assert other // BLOCK not in blocks
    marks = dict(addresses.blocks())
    assert len(marks) == 3
    assert len({marks[block * BLOCK] for block in blocks}) == 1
    assert marks[other // BLOCK * BLOCK] not in {marks[block * BLOCK] for block in blocks}


def test_numbers_come_back_as_late_as_they_can() -> None:
    addresses = Addresses()
    seen = []
    for _ in range(BLOCK):
        number, _ = addresses.take("p")
        seen.append(number)
        addresses.give_back(number)
    assert len(set(seen)) == BLOCK
    assert addresses.take("p") == (seen[0], False)


def test_what_is_in_use_is_adopted_unless_another_network_has_its_block() -> None:
    addresses = Addresses()
    addresses.adopt(130, "p")
    assert addresses.used() == {130}
    assert 130 not in {addresses.take("p")[0] for _ in range(BLOCK)}
    with pytest.raises(NoAddress, match="another network"):
        addresses.adopt(131, "q")


def test_blocks_of_networks_without_machines_are_taken_at_last() -> None:
    addresses = Addresses()
    kept, _ = addresses.take("kept")
    for index in range(1014):
        number, _ = addresses.take(f"p{index}")
        addresses.give_back(number)
    addresses.take("late")
    assert kept in addresses.used()
    assert kept // BLOCK * BLOCK in dict(addresses.blocks())
    for index in range(2000):
        try:
            addresses.take(f"n{index}")
        except NoAddress:
            break
    else:
        pytest.fail("more addresses than there are")
