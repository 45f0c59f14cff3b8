"""Settings of multi-instance tasks that are refused: (change, code, name of the property)."""

from __future__ import annotations

from typing import Any

GANGS: list[tuple[dict[str, Any], str, str]] = [
    (
        {"multiInstanceSettings": {"numberOfInstances": 0, "coordinationCommandLine": "/bin/true"}},
        "InvalidPropertyValue",
        "multiInstanceSettings.numberOfInstances",
    ),
    (
        {"multiInstanceSettings": {"coordinationCommandLine": " "}},
        "InvalidPropertyValue",
        "multiInstanceSettings.coordinationCommandLine",
    ),
    (
        {"multiInstanceSettings": {"numberOfInstances": 2}},
        "MissingRequiredProperty",
        "multiInstanceSettings.coordinationCommandLine",
    ),
    (
        {"multiInstanceSettings": {"coordinationCommandLine": "/bin/true"}, "requiredSlots": 2},
        "InvalidPropertyValue",
        "requiredSlots",
    ),
    (
        {
            "multiInstanceSettings": {
                "coordinationCommandLine": "/bin/true",
                "commonResourceFiles": [{"httpUrl": "https://h/x"}],
            }
        },
        "InvalidPropertyValue",
        "multiInstanceSettings.commonResourceFiles[0].filePath",
    ),
]
