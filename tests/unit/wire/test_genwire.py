"""The generator of request bodies, on facts of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import genwire

FACTS: dict[str, Any] = {
    "models": {
        "Thing": {
            "fields": [
                {"f": "Thing.id", "type": "str", "required": True},
                {"f": "Thing.diskSizeGB", "type": "int", "required": True},
                {"f": "Thing.eTag", "type": "str", "required": True, "read_only": True},
                {"f": "Thing.parts", "type": "[Part]"},
                {"f": "Thing.securityProfile", "type": "Unread"},
            ]
        },
        "Part": {
            "fields": [{"f": "Part.colour", "type": "enum:Colour"}, {"f": "Part.wait", "type": "duration"}]
        },
        "Unread": {"fields": [{"f": "Unread.x", "type": "int"}]},
    },
    "enums": {"Colour": ["red", "darkBlue"], "Paint": ["red", "darkBlue"], "Unused": ["x"]},
}


@pytest.fixture(autouse=True)
def roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(genwire, "ROOTS", ("Thing",))
    monkeypatch.setattr(genwire, "ANSWERED", ("Part",))


def test_only_what_is_needed_is_written() -> None:
    assert genwire.reachable(FACTS) == (["Part", "Thing"], ["Colour"])


def test_fields() -> None:
    lines = [found.line().strip() for found in genwire.fields_of(FACTS, "Thing")]
    assert lines == [
        "id: str",
        'disk_size_gb: Int32 = field(name="diskSizeGB")',
        "e_tag: Any = None",
        "parts: list[Part] | None = None",
        "security_profile: Any = None",
    ]


def test_equal_enumerations_are_written_once() -> None:
    text = genwire.enums_module(FACTS, ["Colour", "Paint"])
    assert 'DARK_BLUE = "darkBlue"' in text
    assert text.endswith("Paint = Colour\n")


def test_the_modules_are_python(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps(FACTS))
    assert genwire.main(["genwire", str(facts), str(tmp_path)]) == 0
    for name in ("batch_enums", "batch_models", "batch_fields"):
        compile((tmp_path / f"{name}.py").read_text(), name, "exec")
    assert '"part": frozenset({"colour", "wait"})' in (tmp_path / "batch_fields.py").read_text()
    assert genwire.main(["genwire"]) == 2
