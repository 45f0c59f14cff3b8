"""Files in which an operator names storage: what is read of them, and how bad ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.serve.storage import BadStorageFile, read_storage

KEY = "c2VjcmV0"
GOOD = (
    f"DefaultEndpointsProtocol=http;AccountName=shelf;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/shelf;"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "storage"
    made.touch(0o600)
    return made


def test_a_connection_string_is_read(file: Path) -> None:
    file.write_text(GOOD + "\n")
    found = read_storage(file)
    assert (found.name, found.key, found.endpoint) == ("shelf", KEY, "http://127.0.0.1:1/shelf")
    assert KEY not in repr(found)


def test_public_storage_has_its_public_address(file: Path) -> None:
    file.write_text(
        f"DefaultEndpointsProtocol=https;AccountName=a1b;AccountKey={KEY};EndpointSuffix=core.windows.net"
    )
    assert read_storage(file).endpoint == "https://a1b.blob.core.windows.net"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing of the sort", "no connection string"),
        ("", "no connection string"),
        ("BlobEndpoint=http://h/a;SharedAccessSignature=sig=hidden", "no AccountKey"),
    ],
)
def test_what_is_none_is_refused_without_its_content(file: Path, text: str, reason: str) -> None:
    file.write_text(text)
    with pytest.raises(BadStorageFile, match=reason) as refused:
        read_storage(file)
    assert str(file) in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_secrets_are_for_their_owner_only(file: Path) -> None:
    file.write_text(GOOD)
    file.chmod(0o640)
    with pytest.raises(BadStorageFile, match="chmod 600"):
        read_storage(file)
    with pytest.raises(BadStorageFile, match="cannot be read"):
        read_storage(file.with_name("absent"))
