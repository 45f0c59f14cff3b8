"""Files below a root: every way out is closed, everything inside works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.agent.files import PathError, Tree


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    root = tmp_path / "root"
    (root / "a/b").mkdir(parents=True)
    (root / ".trash").mkdir()
    (root / "a/b/file").write_text("content")
    (tmp_path / "secret").write_text("secret")
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "relative").symlink_to("../secret")
    (root / "inside").symlink_to("a/b/file")
    (root / "away").symlink_to("..")
    with Tree(str(root)) as opened:
        yield opened


@pytest.mark.parametrize("path", ["absolute", "relative", "../secret", "a/../../secret", "away/secret"])
def test_no_way_out(tree: Tree, path: str) -> None:
    for act in (
        lambda: tree.read(path, 0, 10),
        lambda: tree.status(path),
        lambda: tree.delete("away/secret", False),
    ):
        with pytest.raises(PathError) as caught:
            act()
        assert caught.value.kind == "Path"


def test_reading_in_pieces(tree: Tree) -> None:
    assert tree.read("a/b/file", 0, 3) == (b"con", 7)
    assert tree.read("inside", 3, 100) == (b"tent", 7)
    assert tree.read("/a/b/file/", 100, 5) == (b"", 7)
    with pytest.raises(PathError, match="negative"):
        tree.read("a/b/file", -1, 5)
    with pytest.raises(PathError, match="regular"):
        tree.read("a", 0, 5)
    with pytest.raises(PathError) as caught:
        tree.read("a/none", 0, 5)
    assert caught.value.kind == "NotFound"


def test_listing_is_ordered_bounded_and_hides_the_trash(tree: Tree) -> None:
    names = [entry["name"] for entry in tree.entries("", True, 100, "")]
    assert names == ["a", "a/b", "a/b/file", "absolute", "away", "inside", "relative"]
    assert [entry["name"] for entry in tree.entries("", True, 2, "")] == ["a", "a/b"]
    assert [entry["name"] for entry in tree.entries("", True, 9, "a/b/f")] == ["a/b/file"]
    assert [entry["name"] for entry in tree.entries("a", False, 9, "")] == ["b"]


def test_a_listing_goes_on_behind_a_name(tree: Tree, tmp_path: Path) -> None:
    for name in ("a.txt", "a/b/more", "a/c"):  # "a.txt" sorts before "a/b" as text, behind it as a path
        (tmp_path / "root" / name).write_bytes(b"")
    whole = [entry["name"] for entry in tree.entries("", True, 100, "")]
    for limit in (1, 2, 3):
        pages: list[str] = []
        while more := tree.entries("", True, limit, "", pages[-1] if pages else ""):
            pages += [entry["name"] for entry in more]
        assert pages == whole
    (tmp_path / "root" / "a" / "c").unlink()
    assert [e["name"] for e in tree.entries("", True, 2, "", "a/c")] == ["a.txt", "absolute"], "it is gone"
    assert [e["name"] for e in tree.entries("", True, 9, "a/b/", "a/b/file")] == ["a/b/more"]


def test_names_that_are_no_text_are_left_out(tree: Tree, tmp_path: Path) -> None:
    os.close(os.open(os.fsencode(tmp_path / "root") + b"/bad\xff", os.O_CREAT))
    assert all("bad" not in entry["name"] for entry in tree.entries("", True, 100, ""))


def test_deleting(tree: Tree, tmp_path: Path) -> None:
    with pytest.raises(PathError):
        tree.delete("a", recursive=False)
    assert tree.delete("inside", recursive=False) is None
    assert (tmp_path / "root/a/b/file").exists()
    grave = tree.delete("a", recursive=True)
    assert grave is not None
    assert (tmp_path / "root" / grave / "b/file").exists()
    for path in ("", "/", "..", "."):
        with pytest.raises(PathError):
            tree.delete(path, recursive=True)
