"""The import rules and the house rules, on small trees that break them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import import_rules, tidy
from tools.paths import ROOT


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / "poolwright" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        for folder in file.relative_to(root).parents[:-1]:
            (root / folder / "__init__.py").touch()
    return root


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("domain/a.py", "from poolwright.store import base"),
        ("domain/a.py", "import msgspec"),
        ("decide/a.py", "from poolwright.commands.jobs import create"),
        ("commands/a.py", "from poolwright.store.sqlite import Database"),
        ("commands/a.py", "import starlette.requests"),
        ("engines/sandbox/a.py", "from poolwright.images.base import Disk"),
        ("engines/sandbox/a.py", "import poolwright.engines.fake.engine"),
        ("images/a.py", "from poolwright.engines.base import Engine"),
        ("store/a.py", "from poolwright.engines.base import Engine"),
        ("agent/a.py", "import httpx"),
        ("agent/a.py", "from poolwright.wire.agent import Message"),
        ("wire/a.py", "from poolwright.store.base import Store"),
        ("api/a.py", "from poolwright.reconcile.pools import Loop"),
        ("reconcile/a.py", "from poolwright.engines.sandbox.engine import Sandbox"),
        ("reconcile/a.py", "from poolwright.commands.jobs import create"),
        ("api/a.py", "from poolwright.serve import main"),
        ("sim/a.py", "def late() -> None:\n    from poolwright.api.app import make"),
    ],
)
def test_an_import_into_a_closed_room_is_refused(tmp_path: Path, importer: str, line: str) -> None:
    rooms = {
        "store/base.py": "",
        "store/sqlite.py": "",
        "commands/jobs.py": "",
        "images/base.py": "",
        "engines/base.py": "",
        "engines/fake/engine.py": "",
        "engines/sandbox/engine.py": "",
        "wire/agent.py": "",
        "reconcile/pools.py": "",
        "api/app.py": "",
        "serve.py": "",
    }
    root = tree(tmp_path, {**rooms, importer: f"{line}\n"})
    found = import_rules.problems(root)
    assert len(found) == 1
    assert f"poolwright.{importer.removesuffix('.py').replace('/', '.')}" in found[0]


def test_open_doors_stay_open(tmp_path: Path) -> None:
    files = {
        "domain/pool.py": "import dataclasses\n",
        "decide/plan.py": "from poolwright.domain import pool\n",
        "store/base.py": "from poolwright.domain.pool import *\n",
        "store/sqlite/tx.py": "import msgspec\nfrom poolwright.store import base\n",
        "engines/base.py": "from poolwright.domain import pool\n",
        "images/base.py": "",
        "agent/main.py": "import os\nfrom poolwright.domain import pool\n",
        "engines/sandbox/host.py": "import poolwright.agent.main\nfrom poolwright.engines import base\n",
        "commands/pools.py": "from poolwright.store.base import *\nfrom poolwright.domain import pool\n",
        "reconcile/pools.py": "from poolwright.decide import plan\nfrom poolwright.engines.base import *\n",
        "api/app.py": "import starlette\nfrom poolwright.commands import pools\n",
        "serve.py": "from poolwright.api import app\nfrom poolwright.engines.sandbox import host\n",
        "cli/main.py": "from poolwright import serve\n",
    }
    assert import_rules.problems(tree(tmp_path, files)) == []


def test_a_module_outside_every_room_is_named(tmp_path: Path) -> None:
    found = import_rules.problems(tree(tmp_path, {"domain/a.py": "", "helpers.py": ""}))
    assert found == ["helpers: in no room; name its room in tools/import_rules.py"]


@pytest.mark.parametrize("call", ["time.sleep(1)", "await asyncio.sleep(0.1)", "sleep(delay)"])
def test_a_sleeping_test_is_refused(call: str) -> None:
    assert [line for line, _ in tidy.sleeps(f"async def f():\n    {call}\n")] == [2]


def test_yielding_to_the_loop_is_no_sleep() -> None:
    assert not list(tidy.sleeps("async def f():\n    await asyncio.sleep(0)\n"))


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME"])
def test_open_work_needs_the_number_of_its_issue(word: str) -> None:
    text = f"# {word}: later\n# {word}(#12): later\n"
    assert [line for line, _ in tidy.unnumbered("a.py", text)] == [1]


@pytest.mark.parametrize("place", ["/ho" + "me/somebody/x", str(ROOT), f"{ROOT}/poolwright"])
def test_places_of_one_machine_are_refused(place: str) -> None:
    assert [line for line, _ in tidy.places("a.py", f"ok\npath = '{place}'\n")][:1] == [2]


def test_hosts_and_options_of_package_indexes_are_refused() -> None:
    host = "py" + "pi.org"
    assert [line for line, _ in tidy.indexes("a.md", f"x\nsee https://{host}/simple\n")] == [2]
    assert [line for line, _ in tidy.indexes("requirements.txt", "a==1\n--index-url http://h\n")] == [2]
