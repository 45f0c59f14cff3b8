"""How a service is started."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolwright.domain.limits import CONTAINER_STORE_MIB, FILE_ARCHIVE_MIB, Settings


@dataclass(frozen=True, slots=True)
class Options:
    """`port` 0 takes a free one. `grace_s` (5 to 600): how long nodes go on while the service is away; at most the
    lease, after which their tasks may be run elsewhere. `base_cache`: where built base images are kept.
    `simulate`: nodes of images that nothing here can run are simulated instead of refused."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 8443
    ready_file: Path | None = None
    base_cache: Path | None = None
    grace_s: float = 600.0
    settings: Settings = Settings()
    reserve_disk_mib: int | None = None  # None: see decide/room.py
    log_level: str = "info"
    simulate: bool = False
    auto_storage: Path | None = (
        None  # holds the connection string of storage for accounts that are linked to none
    )
    storage_accounts: tuple[Path, ...] = ()  # each holds the connection string of storage of the operator
    open_to_nodes: tuple[int, ...] = ()  # ports of the host that nodes may reach
    file_archive_mib: int = FILE_ARCHIVE_MIB  # bound of the files kept of nodes that went; 0: none
    container_images_mib: int = CONTAINER_STORE_MIB  # bound of the unpacked container images of this host
    event_settings: Path | None = None  # see serve/event_settings.py
    transfer_networks: tuple[str, ...] | None = None  # all that transfers may connect to (CIDR)
