"""Directories with more names than a node tells at a time."""

from __future__ import annotations

from typing import Any

import pytest

from poolwright.api.batch import files
from tests.wire.batch import conftest
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import client, named, pool_options

__all__ = ["client"]


def test_a_list_goes_on_where_the_node_stopped(
    live: Live, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (files, conftest):
        monkeypatch.setattr(module, "FILES_LISTED_MAX", 4)
    id = named(client, "crowded")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    root = live.files.root / node.machine
    names = {f"{folder}/{n}.txt" for folder in ("a", "a.b", "c") for n in range(5)}
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    found = [file.name for file in client.list_node_files(id, node.id, recursive=True)]
    assert sorted(found) == sorted(names | {"a", "a.b", "c"})
    small = [file.name for file in client.list_node_files(id, node.id, recursive=True, max_results=3)]
    assert small == found, "pages smaller than what the node tells"
    flat = client.list_node_files(id, node.id, recursive=True, filter="startswith(name,'a.b/')")
    assert [file.name for file in flat] == [f"a.b/{n}.txt" for n in range(5)]
