"""The ratchets and the finder of copied code."""

from __future__ import annotations

from tools.duplicates import BLOCK_LINES, blocks_of, code_lines
from tools.ratchet import FUNCTION_LINES, MODULE_LINES, MODULE_LINES_AT_MOST, Sizes, compare

NOTHING = Sizes({}, {}, 0)


def body(count: int, start: int = 0) -> str:
    return "".join(f"value_{number} = {number}\n" for number in range(start, start + count))


def test_a_block_copied_to_another_file_is_found_once_with_both_places() -> None:
    sources = {"a.py": code_lines(body(12)), "b.py": code_lines("first = 1\n" + body(12))}
    assert [str(block) for block in blocks_of(sources)] == ["a.py:1 = b.py:2 (12 lines)"]


def test_indentation_comments_and_blank_lines_do_not_hide_a_copy() -> None:
    dressed = "def f():\n" + "".join(f"    {line}  # note\n\n" for line in body(BLOCK_LINES).splitlines())
    found = blocks_of({"a.py": code_lines(body(BLOCK_LINES)), "b.py": code_lines(dressed)})
    assert [block.lines for block in found] == [BLOCK_LINES]


def test_shorter_runs_imports_and_docstrings_are_no_copies() -> None:
    assert not blocks_of(
        {"a.py": code_lines(body(BLOCK_LINES - 1)), "b.py": code_lines(body(BLOCK_LINES - 1))}
    )
    header = '"""One.\n\ntwo\nthree\nfour\n"""\n' + "".join(f"import os.x{n}\n" for n in range(BLOCK_LINES))
    assert not blocks_of({"a.py": code_lines(header), "b.py": code_lines(header)})


def test_a_copy_within_one_file_is_found() -> None:
    twice = body(BLOCK_LINES) + "between = 0\n" + body(BLOCK_LINES)
    assert len(blocks_of({"a.py": code_lines(twice)})) == 1


def test_repeating_one_line_does_not_overlap_with_itself() -> None:
    assert not blocks_of({"a.py": code_lines("call()\n" * (BLOCK_LINES + 2))})


def test_sizes_up_to_the_limit_need_no_record() -> None:
    now = Sizes({"m.py": MODULE_LINES}, {"m.py::f": FUNCTION_LINES}, 0)
    assert compare(now, NOTHING) == []


def test_what_is_too_large_without_a_record_is_named() -> None:
    now = Sizes({"m.py": MODULE_LINES + 1}, {"m.py::f": FUNCTION_LINES + 1}, 0)
    found = compare(now, NOTHING)
    assert [line.split(":")[0] for line in found] == ["m.py", "m.py"]


def test_a_record_allows_its_size_and_no_more() -> None:
    allowed = Sizes({"m.py": 450}, {"m.py::f": 70}, 0)
    assert compare(Sizes({"m.py": 450}, {"m.py::f": 70}, 0), allowed) == []
    assert len(compare(Sizes({"m.py": 451}, {"m.py::f": 71}, 0), allowed)) == 2


def test_no_record_allows_a_module_beyond_the_hard_limit() -> None:
    huge = Sizes({"m.py": MODULE_LINES_AT_MOST + 1}, {}, 0)
    assert compare(huge, huge)
