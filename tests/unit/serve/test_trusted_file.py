"""Which further certificates transfers trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.serve.transfers import trusted_file
from tests.support.certificates import make


def test_the_file_has_to_have_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert trusted_file() == ""
    Path("good.pem").write_bytes(b"# caf\xc3\xa9\n" + make("lab").pem)
    Path("bad.pem").write_text("no certificate")
    for name in ("bad.pem", "none.pem"):
        monkeypatch.setenv("SSL_CERT_FILE", name)
        caplog.clear()
        assert trusted_file() == ""
        assert f"{tmp_path / name} is not used" in caplog.text
    monkeypatch.setenv("SSL_CERT_FILE", "good.pem")
    assert trusted_file() == str(tmp_path / "good.pem")
