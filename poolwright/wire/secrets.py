"""Passwords that stored documents hold, such as those of container registries, are in no answer."""

from __future__ import annotations

from typing import Any

SECRET = "password"  # noqa: S105 - the name of the member


def without_secrets(document: Any) -> Any:
    """A copy of an answer without its passwords, wherever they are."""
    if isinstance(document, dict):
        return {name: without_secrets(value) for name, value in document.items() if name != SECRET}
    if isinstance(document, list | tuple):
        return [without_secrets(value) for value in document]
    return document
