"""Properties of pools that are rules rather than work: accepted where they ask for what is so, refused with a reason
where this service cannot keep them (public create properties, "OS updates" and "metadata" of the behaviour tables)."""

from __future__ import annotations

from typing import Any

from poolwright.domain.catalogue import AGENT_SKUS
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.states import FillType, JobOrder
from poolwright.wire.convert.shared import asks_nothing, refuse
from poolwright.wire.generated import batch_models as models

COMMUNICATION_MODES = ("default", "classic", "simplified")
LICENCES = ("Windows_Server", "Windows_Client")
_MACHINE = "virtualMachineConfiguration."
_UPGRADE = "upgradePolicy."

#: What a pool body may not ask for, and why. The value None, an empty list and the like ask for nothing.
_REFUSED = {
    "cloud_service_configuration": (
        "cloudServiceConfiguration",
        "Pools of cloud services are no more; use virtualMachineConfiguration.",
    ),
    "application_licenses": (
        "applicationLicenses",
        "This service rents no application licences; let the tasks reach a licence server of your own.",
    ),
    "resource_tags": (
        "resourceTags",
        "Tags are for pools in a subscription of the user's own (UserSubscription accounts), which are not offered.",
    ),
}
_REFUSED_OF_MACHINE = {
    "extensions": (
        "extensions",
        "Extensions need the cloud's own machine agent, which nodes here have not; prepare an image.",
    ),
    "security_profile": (
        "securityProfile",
        "Nodes share their host's kernel: there is no secure boot, virtual TPM or encryption at host to switch on.",
    ),
    "service_artifact_reference": (
        "serviceArtifactReference",
        "There are no service artifacts here; name an exact image version instead.",
    ),
}


def read_policy(policy: models.BatchTaskSchedulingPolicy | None) -> tuple[FillType, JobOrder]:
    """How nodes are filled, and in which order jobs of one priority are served."""
    if policy is None:
        return FillType.SPREAD, JobOrder.NONE
    order = policy.job_default_order
    return FillType(policy.node_fill_type.value), JobOrder.NONE if order is None else JobOrder(order.value)


def check_pool(body: models.BatchPoolCreateOptions) -> None:
    """Raises UnsupportedProperty or InvalidPropertyValue (400) for what cannot be kept."""
    _refuse(body, _REFUSED, "")
    mode = body.target_node_communication_mode
    if mode is not None and mode.lower() not in COMMUNICATION_MODES:
        raise bad_property("targetNodeCommunicationMode", mode, f"One of {', '.join(COMMUNICATION_MODES)}.")
    if body.upgrade_policy is not None:
        _check_upgrades(body.upgrade_policy)


def check_machine(body: models.VirtualMachineConfiguration) -> None:
    """The same for a virtual machine configuration; what only one operating system has is checked against the agent."""
    windows = AGENT_SKUS.get((body.node_agent_sku_id or "").lower()) == "windows"
    if body.windows_configuration is not None and not windows:
        raise _only_windows("windowsConfiguration", body.windows_configuration)
    if body.license_type:
        if body.license_type not in LICENCES:
            raise bad_property(_MACHINE + "licenseType", body.license_type, f"One of {', '.join(LICENCES)}.")
        if not windows:
            raise _only_windows("licenseType", body.license_type)
    if body.disk_encryption_configuration is not None:
        _check_encryption(body.disk_encryption_configuration, windows)
    _refuse(body, _REFUSED_OF_MACHINE, _MACHINE)


def _refuse(body: Any, refused: dict[str, tuple[str, str]], within: str) -> None:
    for attribute, (name, reason) in refused.items():
        value = getattr(body, attribute)
        if not asks_nothing(value):
            raise refuse(within + name, value, reason)


def _only_windows(name: str, value: object) -> ServiceError:
    shown = value if isinstance(value, str) else "given"
    return bad_property(_MACHINE + name, shown, "The property is for Windows images only.")


def _check_encryption(given: Any, windows: bool) -> None:
    within = _MACHINE + "diskEncryptionConfiguration"
    targets = given.get("targets", []) if isinstance(given, dict) else None
    if not isinstance(targets, list):
        raise bad_property(within, str(given), "An object with a list of targets is needed.")
    wanted = {str(target).lower() for target in targets}
    legal = {"osdisk", "temporarydisk"} if windows else {"temporarydisk"}
    if wanted - {"osdisk", "temporarydisk"} or (wanted and wanted != legal):
        reason = f"{'Windows' if windows else 'Linux'} pools encrypt exactly: {', '.join(sorted(legal))}."
        raise bad_property(f"{within}.targets", ", ".join(map(str, targets)), reason)
    if not asks_nothing(given):
        reason = "Disks of nodes are files of the host and are not encrypted by this service; encrypt the host's disk."
        raise refuse(within, given, reason)


def _check_upgrades(policy: models.UpgradePolicy) -> None:
    """Ranges first, then what is in force: nodes follow a newer image when they are made anew, never by themselves."""
    rolling, automatic = policy.rolling_upgrade_policy, policy.automatic_os_upgrade_policy
    if rolling is not None:
        _check_rolling(rolling)
    if policy.mode.value != "manual":
        reason = "Nodes get a newer image when they are made anew, never by themselves: manual is the mode in force."
        raise refuse(_UPGRADE + "mode", policy.mode.value, reason)
    if automatic is not None and automatic.enable_automatic_os_upgrade:
        reason = "Nodes get a newer image when they are made anew, never by themselves."
        raise refuse(_UPGRADE + "automaticOSUpgradePolicy.enableAutomaticOSUpgrade", "true", reason)


def _check_rolling(rolling: models.RollingUpgradePolicy) -> None:
    within = _UPGRADE + "rollingUpgradePolicy."
    ranges = (
        ("maxBatchInstancePercent", rolling.max_batch_instance_percent, 5),
        ("maxUnhealthyInstancePercent", rolling.max_unhealthy_instance_percent, 5),
        ("maxUnhealthyUpgradedInstancePercent", rolling.max_unhealthy_upgraded_instance_percent, 0),
    )
    for name, value, least in ranges:
        if value is not None and not least <= value <= 100:
            raise bad_property(within + name, value, f"A percentage from {least} to 100.")
    batch, unhealthy = rolling.max_batch_instance_percent, rolling.max_unhealthy_instance_percent
    if batch is not None and unhealthy is not None and batch > unhealthy:
        reason = f"It may not be more than maxUnhealthyInstancePercent ({unhealthy})."
        raise bad_property(within + "maxBatchInstancePercent", batch, reason)
    if rolling.enable_cross_zone_upgrade:
        reason = "Only zonal pools are upgraded across zones, and this service has one place only."
        raise refuse(within + "enableCrossZoneUpgrade", "true", reason)
