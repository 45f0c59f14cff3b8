"""Properties of virtual machines that are refused by their path."""

from __future__ import annotations

from typing import Any

from tests.wire.arm.bad_bodies import COMPUTE, PROFILE, vm

_SIZED = {"hardwareProfile": {"vmSize": "Standard_D2s_v3"}}
#: Verb, body and words of the answer.
_CASES: tuple[tuple[str, dict[str, Any], str], ...] = (
    (
        "PUT",
        vm({"properties.availabilitySet": {"id": "x"}}),
        "of 'properties.availabilitySet' is not supported: This service runs on one host",
    ),
    (
        "PUT",
        vm({f"{PROFILE}.dataDisks.0.writeAcceleratorEnabled": True}),
        "'true' of 'properties.storageProfile.dataDisks[0].writeAcceleratorEnabled'",
    ),
    (
        "PUT",
        vm({"properties.securityProfile": {"securityType": "TrustedLaunch"}}),
        "'TrustedLaunch' of 'properties.securityProfile.securityType'",
    ),
    ("PUT", vm({"identity": {"type": "SystemAssigned"}}), "of 'identity.type'"),
    (
        "PUT",
        vm({"properties.osProfile.customData": "c2VjcmV0"}),
        "'properties.osProfile.customData' is not supported",
    ),
    (
        "PATCH",
        {"properties": {**_SIZED, "osProfile": {"computerName": "x"}}},
        "of 'properties.osProfile' is not supported: A PATCH",
    ),
)
MACHINE_CASES = [
    (verb, f"{COMPUTE}/virtualMachines/v", body, 400, "InvalidParameter", words)
    for verb, body, words in _CASES
]
