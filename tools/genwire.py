"""Writes the modules of poolwright/wire/generated from a facts file of the Batch data plane.

    python -m tools.genwire FACTS.json [FOLDER]

The facts file is JSON: `models` maps a model's name to `fields`, each with `f` ("Model.wireName"), `type`,
`required` and `read_only`; `enums` maps an enum's name to its wire values.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.paths import ROOT, VENV

OUTPUT = ROOT / "poolwright" / "wire" / "generated"

ROOTS = (
    "BatchJob",
    "BatchJobCreateOptions",
    "BatchJobDisableOptions",
    "BatchJobSchedule",
    "BatchJobScheduleCreateOptions",
    "BatchJobScheduleUpdateOptions",
    "BatchJobTerminateOptions",
    "BatchJobUpdateOptions",
    "BatchNodeDeallocateOptions",
    "BatchNodeDisableSchedulingOptions",
    "BatchNodeRebootOptions",
    "BatchNodeReimageOptions",
    "BatchNodeRemoveOptions",
    "BatchNodeUserCreateOptions",
    "BatchNodeUserReplaceOptions",
    "BatchPoolCreateOptions",
    "BatchPoolEnableAutoScaleOptions",
    "BatchPoolEvaluateAutoScaleOptions",
    "BatchPoolReplaceOptions",
    "BatchPoolResizeOptions",
    "BatchPoolUpdateOptions",
    "BatchTask",
    "BatchTaskGroup",
    "UploadBatchServiceLogsOptions",
)
"""Bodies of the requests that are served; what they use follows."""

ANSWERED = (
    "BatchPool",
    "BatchNode",
    "BatchJob",
    "BatchJobSchedule",
    "BatchTask",
    "BatchJobPreparationAndReleaseTaskStatus",
)
"""Entities whose members a client may select."""

UNTYPED = frozenset(
    {
        "diskEncryptionConfiguration",
        "diskEncryptionSet",
        "extensions",
        "securityProfile",
        "serviceArtifactReference",
    }
)
"""Fields whose inside nobody reads: they are refused when they are not empty (see wire/convert)."""

OF_OLDER_VERSIONS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "BatchPoolCreateOptions": (
        ("applicationLicenses", "any"),
        ("certificateReferences", "any"),
        ("cloudServiceConfiguration", "any"),
        ("maxTasksPerNode", "int"),
        ("resourceTags", "any"),
        ("targetNodeCommunicationMode", "str"),
    ),
    "BatchPoolUpdateOptions": (
        ("certificateReferences", "any"),
        ("resourceTags", "any"),
        ("targetNodeCommunicationMode", "str"),
    ),
    "BatchPoolSpecification": (
        ("applicationLicenses", "any"),
        ("certificateReferences", "any"),
        ("cloudServiceConfiguration", "any"),
        ("maxTasksPerNode", "int"),
        ("resourceTags", "any"),
        ("targetNodeCommunicationMode", "str"),
    ),
    "BatchPoolReplaceOptions": (("certificateReferences", "any"), ("targetNodeCommunicationMode", "str")),
    "BatchJobManagerTask": (("authenticationTokenSettings", "any"),),
    "BatchTaskCreateOptions": (("authenticationTokenSettings", "any"),),
    "DataDisk": (("storageAccountType", "enum:StorageAccountType"),),
    "BatchJob": (("odata.metadata", "any"),),
    "BatchJobSchedule": (("odata.metadata", "any"),),
    "BatchTask": (("odata.metadata", "any"), ("authenticationTokenSettings", "any")),
}
"""Fields that the facts' version has no more but earlier ones send, and the annotation of whatever is sent back."""

EXTENSIONS: Mapping[str, tuple[str, ...]] = {"BatchAllTasksCompleteMode": ("terminatejobwhenidle",)}
"""Values of enumerations that only this service knows."""

OLDER_ENTITIES: Mapping[str, tuple[str, ...]] = {
    "certificate": (
        "deleteCertificateError",
        "previousState",
        "previousStateTransitionTime",
        "publicData",
        "state",
        "stateTransitionTime",
        "thumbprint",
        "thumbprintAlgorithm",
        "url",
    ),
}
"""Entities that only earlier versions know, with their members."""

_SCALARS = {
    "str": "str",
    "int": "Int32",
    "int:str": "int",
    "float": "float",
    "bool": "bool",
    "any": "Any",
    "duration": "Duration",
    "datetime": "Any",
}

ANSWERED_BY_OLDER_VERSIONS: Mapping[str, tuple[str, ...]] = {
    "BatchPool": (
        "applicationLicenses",
        "certificateReferences",
        "cloudServiceConfiguration",
        "currentNodeCommunicationMode",
        "maxTasksPerNode",
        "resourceTags",
        "targetNodeCommunicationMode",
    ),
    "BatchNode": ("certificateReferences",),
    "BatchTask": ("authenticationTokenSettings",),
}
"""Members that only earlier versions know."""

_NOTE = "Written by tools/genwire.py from public facts: change that instead."
_ENUMS_HEAD = f'''"""Enumerations of Batch data-plane requests. {_NOTE}"""

from __future__ import annotations

from poolwright.wire.scalars import WireEnum
'''
_FIELDS_HEAD = f'''"""Members of Batch data-plane entities. {_NOTE}"""

from __future__ import annotations

MEMBERS: dict[str, frozenset[str]] = {{
'''
_MODELS_HEAD = f'''"""Bodies of Batch data-plane requests. {_NOTE}"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from poolwright.wire.generated.batch_enums import (
    ENUMS
)
from poolwright.wire.scalars import Duration, Int32


class Body(Struct, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What all bodies have in common."""
'''


@dataclass(frozen=True, slots=True)
class Field:
    """One field as it will be written."""

    wire: str
    type: str
    required: bool

    @property
    def name(self) -> str:
        """The attribute: snake case, with a run of capitals kept as one word."""
        plain = self.wire.replace(".", "_")
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain).lower()

    def line(self) -> str:
        """Its line in the class."""
        camel = re.sub(r"_(\w)", lambda match: match[1].upper(), self.name)
        renamed = "" if camel == self.wire else f'name="{self.wire}"'
        if self.required:
            return f"    {self.name}: {self.type}" + (f" = field({renamed})" if renamed else "")
        kind = self.type if self.type == "Any" else f"{self.type} | None"
        default = f"field(default=None, {renamed})" if renamed else "None"
        return f"    {self.name}: {kind} = {default}"


def fields_of(facts: Mapping[str, Any], model: str) -> Iterator[Field]:
    """The fields of a model, the required ones as the facts say except where the caller cannot set them."""
    for fact in facts["models"][model]["fields"]:
        wire = fact["f"].split(".", 1)[1]
        read_only = fact.get("read_only", False)
        ignored = read_only or wire in UNTYPED
        yield Field(
            wire, "Any" if ignored else _type(fact["type"]), fact.get("required", False) and not read_only
        )
    for wire, kind in OF_OLDER_VERSIONS.get(model, ()):
        yield Field(wire, _type(kind), False)


def _type(fact: str) -> str:
    if fact.startswith("["):
        return f"list[{_type(fact[1:-1])}]"
    if fact.startswith("{"):
        return f"dict[str, {_type(fact[1:-1])}]"
    return _SCALARS.get(fact, fact.removeprefix("enum:"))


def reachable(facts: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The models and the enums that the roots need, each sorted by name."""
    models: set[str] = set()
    enums: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        model = waiting.pop()
        if model in models:
            continue
        models.add(model)
        for found in fields_of(facts, model):
            for word in re.findall(r"\w+", found.type):
                if word in facts["models"]:
                    waiting.append(word)
                elif word in facts["enums"]:
                    enums.add(word)
    return sorted(models), sorted(enums)


def _member(value: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).upper()


def enums_module(facts: Mapping[str, Any], names: list[str]) -> str:
    """The text of the enumerations; one with the values of another is a second name of it."""
    parts = [_ENUMS_HEAD]
    named: dict[tuple[str, ...], str] = {}
    for name in names:
        values = (*facts["enums"][name], *EXTENSIONS.get(name, ()))
        twin = named.setdefault(values, name)
        if twin == name:
            lines = "\n".join(f'    {_member(value)} = "{value}"' for value in values)
            parts.append(f"\n\nclass {name}(WireEnum):\n{lines}\n")
        else:
            parts.append(f"\n\n{name} = {twin}\n")
    return "".join(parts)


def models_module(facts: Mapping[str, Any], names: list[str], enums: list[str]) -> str:
    """The text of the bodies."""
    parts = [_MODELS_HEAD.replace("ENUMS", "".join(f"    {name},\n" for name in enums).strip())]
    for name in names:
        lines = "\n".join(found.line() for found in fields_of(facts, name))
        parts.append(f"\n\nclass {name}(Body, kw_only=True):\n{lines}\n")
    return "".join(parts)


def fields_module(facts: Mapping[str, Any]) -> str:
    """The text of the table of members by entity."""
    parts = [_FIELDS_HEAD]
    for entity in ANSWERED:
        names = {fact["f"].split(".", 1)[1] for fact in facts["models"][entity]["fields"]}
        listed = ",\n".join(
            f'"{name}"' for name in sorted({*names, *ANSWERED_BY_OLDER_VERSIONS.get(entity, ())})
        )
        parts.append(f'    "{entity.removeprefix("Batch").lower()}": frozenset({{{listed}}}),\n')
    for entity, members in OLDER_ENTITIES.items():
        listed = ", ".join(f'"{name}"' for name in members)
        parts.append(f'    "{entity}": frozenset({{{listed}}}),\n')
    return "".join([*parts, "}\n"])


def main(arguments: list[str]) -> int:
    """Write the modules; 2 when the facts file is not named."""
    if len(arguments) not in (2, 3):
        print(f"usage: {arguments[0]} FACTS.json [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[2]) if len(arguments) == 3 else OUTPUT
    facts = json.loads(Path(arguments[1]).read_text())
    models, enums = reachable(facts)
    (folder / "batch_enums.py").write_text(enums_module(facts, enums))
    (folder / "batch_models.py").write_text(models_module(facts, models, enums))
    (folder / "batch_fields.py").write_text(fields_module(facts))
    subprocess.run([str(VENV / "bin" / "ruff"), "format", "--quiet", str(folder)], check=True)
    print(f"wrote {len(models)} models and {len(enums)} enumerations to {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
