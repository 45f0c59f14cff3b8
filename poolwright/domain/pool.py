"""A pool: nodes of one size made from one image."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.autoscale import Autoscale
from poolwright.domain.certificate import CertificateReference
from poolwright.domain.clock import Instant, Micros
from poolwright.domain.containers import ContainerSettings, PoolContainers
from poolwright.domain.limits import RESIZE_TIMEOUT_DEFAULT
from poolwright.domain.network import PoolNetwork
from poolwright.domain.package import PackageReference
from poolwright.domain.states import AllocationState, DeallocationOption, FillType, JobOrder, PoolState
from poolwright.domain.storage import PoolDisk, PoolMount
from poolwright.domain.transfer import ResourceFile


@dataclass(frozen=True, slots=True)
class ImageReference:
    """Where a pool's disks come from: a custom image by resource id, or a marketplace image. Exactly one form."""

    image_id: str | None = None
    publisher: str | None = None
    offer: str | None = None
    sku: str | None = None
    version: str | None = None

    @property
    def custom(self) -> bool:
        return self.image_id is not None


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """Who a task runs as: an auto-user of a scope and elevation, or a named user."""

    scope: str = "pool"  # "pool" | "task"
    elevation: str = "nonadmin"  # "nonadmin" | "admin"
    username: str | None = None


@dataclass(frozen=True, slots=True)
class UserAccount:
    """A named account made on every node of a pool, for tasks to run as. Of its password only a salted hash (crypt(5),
    SHA-512) is kept; the key pair is there only where nodes may talk to one another."""

    name: str
    admin: bool = False
    uid: int | None = None  # with gid, or neither
    gid: int | None = None
    password_hash: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)  # OpenSSH or PEM text, no passphrase
    public_key: str | None = None  # one line as in authorized_keys


@dataclass(frozen=True, slots=True)
class StartTask:
    """What each node runs when it joins."""

    command_line: str
    environment: tuple[tuple[str, str], ...] = ()
    user: UserIdentity = UserIdentity()
    max_retries: int = 0  # -1: without limit
    wait_for_success: bool = True
    resource_files: tuple[ResourceFile, ...] = ()
    container: ContainerSettings | None = None


@dataclass(frozen=True, slots=True)
class ResizeError:
    """Why the last resize did not reach its target."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """What the caller asked for and the service acts upon."""

    vm_size: str
    image: ImageReference
    agent_sku: str
    slots_per_node: int = 1
    fill: FillType = FillType.SPREAD
    start_task: StartTask | None = None
    inter_node: bool = False
    resize_timeout: Micros = RESIZE_TIMEOUT_DEFAULT
    display_name: str | None = None
    job_order: JobOrder = JobOrder.NONE
    upgrade_mode: str | None = None  # "manual": see wire/convert/pool_settings.py
    os_disk: PoolDisk | None = None
    data_disks: tuple[PoolDisk, ...] = ()
    accounts: tuple[UserAccount, ...] = ()
    mounts: tuple[PoolMount, ...] = ()
    packages: tuple[PackageReference, ...] = ()
    network: PoolNetwork = PoolNetwork()
    licence: str | None = None  # of Windows
    automatic_updates: bool | None = None  # of Windows
    certificates: tuple[CertificateReference, ...] = ()
    containers: PoolContainers | None = None  # its nodes run containers

    @property
    def disks(self) -> tuple[PoolDisk, ...]:
        """What each node gets of its own, the OS disk first."""
        return (() if self.os_disk is None else (self.os_disk,)) + self.data_disks


@dataclass(frozen=True, slots=True)
class Resize:
    """A resize under way (or the last one's settings when the pool is steady)."""

    started_at: Instant
    timeout: Micros
    option: DeallocationOption = DeallocationOption.REQUEUE
    number: int = 0  # grows with every resize of this pool
    remove: tuple[str, ...] = ()  # node ids to go first (remove-nodes)
    round: int = 1  # grows when the resize of a large pool begins again by itself
    had: int = 0  # nodes when this round began
    grows: bool = False  # it asks for more nodes than there were at its beginning


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool as stored. `document` is the caller's own JSON, kept to be echoed; nothing inside reads it."""

    account: str
    id: str
    spec: PoolSpec
    document: bytes
    state: PoolState
    state_at: Instant
    allocation: AllocationState
    allocation_at: Instant
    created_at: Instant
    modified_at: Instant
    target_dedicated: int
    target_low_priority: int
    resize: Resize
    resize_errors: tuple[ResizeError, ...] = ()
    uid: str = ""  # unique for ever, also when the id is used again; lower-case hex
    revision: int = 0
    autoscale: Autoscale | None = None

    @property
    def autoscaled(self) -> bool:
        """Whether a formula sizes the pool now."""
        return self.autoscale is not None and self.autoscale.enabled
