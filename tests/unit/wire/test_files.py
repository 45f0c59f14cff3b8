"""Paths, ranges and modes of files on nodes."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.domain.errors import ServiceError
from poolwright.wire.files import check_path, content_type, format_mode, read_range


@pytest.mark.parametrize(
    ("given_path", "path"),
    [
        ("stdout.txt", "stdout.txt"),
        ("wd/a b%.bin", "wd/a b%.bin"),
        ("wd\\out\\x", "wd/out/x"),
        ("wd/", "wd"),
        ("..x/y..", "..x/y.."),
    ],
)
def test_paths(given_path: str, path: str) -> None:
    assert check_path(given_path) == path


@given(st.text(alphabet="ab./\\\0", max_size=12))
def test_no_path_leads_out(text: str) -> None:
    try:
        path = check_path(text)
    except ServiceError as refused:
        path, values = "", dict(refused.values)
        assert values["PropertyName"] == "filePath", values
    if path:
        assert posixpath.normpath(posixpath.join("/base", path)).startswith("/base/")
        assert "\0" not in path


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        (None, 10, (0, 10)),
        (None, 0, (0, 0)),
        ("bytes=2-4", 10, (2, 3)),
        ("bytes=2-", 10, (2, 8)),
        ("bytes=0-99", 10, (0, 10)),
        ("Bytes=-3", 10, (7, 3)),
        ("bytes=-99", 10, (0, 10)),
    ],
)
def test_ranges(text: str | None, size: int, expected: tuple[int, int]) -> None:
    assert read_range(text, size) == expected


@pytest.mark.parametrize(
    ("text", "size", "code"),
    [
        ("bytes=10-", 10, "InvalidRange"),
        ("bytes=0-0", 0, "InvalidRange"),
        ("bytes=-", 10, "InvalidHeaderValue"),
        ("bytes=4-2", 10, "InvalidHeaderValue"),
        ("bytes=1-2,4-5", 10, "InvalidHeaderValue"),
        ("lines=1-2", 10, "InvalidHeaderValue"),
        ("bytes=" + "9" * 30 + "-", 10, "InvalidHeaderValue"),
    ],
)
def test_ranges_that_are_refused(text: str, size: int, code: str) -> None:
    with pytest.raises(ServiceError) as refused:
        read_range(text, size)
    assert refused.value.code == code


def test_how_files_are_described() -> None:
    assert (content_type("wd/Frame.TXT"), content_type("frame.png")) == (
        "text/plain",
        "application/octet-stream",
    )
    assert format_mode(0o100644) == "0100644"
