"""Where the command line looks for a service, and what it says when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from poolwright.cli.places import Credentials, NoService, default_data_dir, load_credentials

KNOWN = {
    "endpoint": "https://localhost:1",
    "ca_file": "/ca.pem",
    "tenant_id": "tenant",
    "subscription_id": "subscription",
    "client_id": "client",
    "client_secret": "hush",
    "account_name": "account",
    "account_endpoint": "localhost:1",
    "account_key": "hush-too",
    "pid": 1,
}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"POOLWRIGHT_DATA_DIR": "/named", "XDG_DATA_HOME": "/xdg"}, "/named"),
        ({"XDG_DATA_HOME": "/xdg"}, "/xdg/poolwright"),
        ({}, "/homes/someone/.local/share/poolwright"),
    ],
)
def test_the_default_data_directory(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("POOLWRIGHT_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/homes/someone")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_data_dir() == Path(expected)


def test_credentials_are_read_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text(json.dumps(KNOWN))
    known = load_credentials(tmp_path)
    assert (known.endpoint, known.client_secret) == ("https://localhost:1", "hush")
    assert "hush" not in repr(known)


def test_no_credentials(tmp_path: Path) -> None:
    with pytest.raises(NoService, match=r"credentials\.json does not exist.*--data-dir"):
        load_credentials(tmp_path)


@pytest.mark.parametrize(
    "text", ["{", "[]", "7", json.dumps({**KNOWN, "endpoint": None}), '{"endpoint": "x"}']
)
def test_broken_credentials(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(NoService, match=r"credentials\.json cannot be read: ") as refused:
        load_credentials(tmp_path)
    assert "hush" not in str(refused.value)


def test_fields_are_those_of_the_ready_file() -> None:
    assert set(Credentials.__dataclass_fields__) == set(KNOWN) - {"pid"}
