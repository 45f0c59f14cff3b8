"""The rules of file patterns, one line a rule."""

from __future__ import annotations

import pytest

from poolwright.transfer.patterns import BadPattern, Pattern, expand, fits, parse

ROOT = "/mnt/batch/tasks"
WD = ROOT + "/workitems/j/job-1/t/wd"


@pytest.mark.parametrize(
    ("part", "name", "does"),
    [
        ("*.txt", "a.txt", True),
        ("*.txt", "a.txt.gz", False),
        ("*", ".hidden", False),
        (".*.gif", ".x.gif", True),
        (".*", "x", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("?a", ".a", False),
        ("[abc]", "b", True),
        ("[a-c]", "d", False),
        ("[!abc]", "b", False),
        ("[!abc]", "z", True),
        ("abc[*]", "abc*", True),
        ("abc[*]", "abcd", False),
        ("[?]", "?", True),
        ("[[]x", "[x", True),
        ("a[", "a[", True),
        ("a.b", "aXb", False),
        ("a(b|c)+", "ab", False),
        ("[]", "x", False),
        ("*", "line\nbreak", True),
    ],
)
def test_one_part(part: str, name: str, does: bool) -> None:
    assert fits(part, name) is does


@pytest.mark.parametrize(
    ("pattern", "base", "parts", "wild"),
    [
        ("a.txt", "workitems/j/job-1/t/wd", ("a.txt",), False),
        ("../std*.txt", "workitems/j/job-1/t", ("std*.txt",), True),
        ("out/**/*.log", "workitems/j/job-1/t/wd/out", ("**", "*.log"), True),
        ("./a//b", "workitems/j/job-1/t/wd/a", ("b",), False),
        (ROOT + "/shared/x", "shared", ("x",), False),
        ("a?/../b", None, (), False),
        ("../../../../../../x", None, (), False),
        ("/etc/passwd", None, (), False),
        (ROOT, None, (), False),
    ],
)
def test_where_a_pattern_looks(pattern: str, base: str | None, parts: tuple[str, ...], wild: bool) -> None:
    if base is None:
        with pytest.raises(BadPattern):
            parse(pattern, WD, ROOT)
    else:
        assert parse(pattern, WD, ROOT) == Pattern(base, parts, wild)


def test_variables_are_those_of_the_task() -> None:
    known = {"A": "1", "AB": "2"}
    assert expand("$A/${A}b/%AB%/$AB/$NONE/%C%/100%", known) == "1/1b/2/2/$NONE/%C%/100%"
