"""The operator's file about events: what is wrong with it is named, its secrets are not."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from poolwright.serve.event_settings import BadEventSettings, EventSettings, read_event_settings
from poolwright.serve.webhooks import signature

SECRET = "0123456789abcdef-secret"
HOOK = {"name": "ci", "url": "https://ci.example/hook", "secret": SECRET}


def _file(directory: Path, content: Any, mode: int = 0o600) -> Path:
    file = directory / "events.json"
    file.write_text(json.dumps(content))
    file.chmod(mode)
    return file


def test_what_is_set_and_what_is_not(tmp_path: Path) -> None:
    assert read_event_settings(None) == EventSettings()
    found = read_event_settings(_file(tmp_path, {"taskEvents": False, "days": 0.5, "webhooks": [HOOK]}))
    assert (found.task_events, found.age, found.keep) == (False, 43_200_000_000, 200_000)
    assert found.webhooks[0].url == HOOK["url"]
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ({}, 0o644, "chmod 600"),
        ({"kept": 5}, 0o600, "kept"),
        ({"keep": 5}, 0o600, "keep"),
        ({"webhooks": [HOOK, HOOK | {"name": "CI"}]}, 0o600, "two webhooks"),
        ({"webhooks": [HOOK | {"name": "a b"}]}, 0o600, "'a b'"),
        ({"webhooks": [HOOK | {"url": "ftp://x/"}]}, 0o600, "the url of webhook 'ci'"),
        ({"webhooks": [HOOK | {"secret": "short"}]}, 0o600, "webhooks[0].secret"),
        ({"webhooks": [HOOK | {"kinds": ["Bad Kind"]}]}, 0o600, "Bad Kind"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, content: Any, mode: int, said: str) -> None:
    with pytest.raises(BadEventSettings) as refused:
        read_event_settings(_file(tmp_path, content, mode))
    assert said in str(refused.value)
    assert SECRET not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEventSettings, match="No such file"):
        read_event_settings(tmp_path / "none.json")


def test_a_signature_is_what_a_receiver_computes() -> None:
    at, _, code = signature(SECRET, 1_700_000_000, b"{}").partition(",v1=")
    assert at == "t=1700000000"
    assert code == hmac.new(SECRET.encode(), b"1700000000.{}", hashlib.sha256).hexdigest()
