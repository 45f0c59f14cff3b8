"""`--storage-class TYPE=DIR`: read into real directories, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from poolwright.cli.storage import read_classes
from poolwright.domain.storage import StorageClass, class_directory


def test_types_are_known_by_either_spelling(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    read = read_classes([f"premium_lrs={tmp_path}/link", f"StandardSSD_LRS={tmp_path}"])
    assert read == (
        StorageClass("Premium_LRS", str(tmp_path)),
        StorageClass("StandardSSD_LRS", str(tmp_path)),
    )
    assert class_directory(read, "Premium_LRS") == str(tmp_path)
    assert class_directory(read, None) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["/tmp"], "TYPE=DIR"),
        (["Gold=/tmp"], "TYPE is one of Standard_LRS, StandardSSD_LRS, Premium_LRS"),
        (["Premium_LRS=/tmp", "premium_lrs=/tmp"], "given twice"),
        (["Premium_LRS=/does/not/exist"], "there is no such directory"),
        (["Premium_LRS=/etc/passwd"], "it is not a directory"),
    ],
)
def test_what_cannot_be_is_refused(given: list[str], reason: str) -> None:
    with pytest.raises(typer.BadParameter, match=reason):
        read_classes(given)
