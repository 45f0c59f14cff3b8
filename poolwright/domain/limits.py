"""Every bound of the system in one place, with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.domain.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from poolwright.domain.storage import Export, StorageClass

ID_LENGTH_MAX = 64  # public limit of pool, job and task ids
DISPLAY_NAME_MAX = 1024  # public limit
TASKS_PER_COLLECTION_MAX = 100  # public limit of addtaskcollection
COLLECTION_BYTES_MAX = 1_048_576  # public limit of addtaskcollection (1 MiB)
REQUEST_BODY_BYTES_MAX = 4 * 1_048_576  # keeps one request from filling memory
DEPENDENCY_CHARACTERS_MAX = 64_000  # public limit of the ids a task depends on
DEPENDENCY_RANGES_MAX = 1000  # unpublished; a task with more can say it with ids, and each range costs rows
TASK_BYTES_MAX = 1_048_576  # one stored task; larger is RequestEntityTooLarge
START_TASK_BYTES_MAX = 131_072  # files and variables of a start task: read whole in each pass over its pool
RESOURCE_FILES_MAX = 1000  # of one task; a container holds any number of files
CONTAINER_IMAGES_MAX = 100  # of one pool: each is looked up for every node
CONTAINER_REGISTRIES_MAX = 100  # of one pool
RUN_OPTIONS_MAX = 4096  # characters of one task's containerRunOptions
VOLUMES_MAX = 64  # of one container
OUTPUT_FILES_MAX = 1000  # patterns of one task
TRANSFERS_AT_ONCE = 64  # asked of one host agent; its worker does fewer side by side
TRANSFER_S_MAX = 24 * 3600.0  # one download or upload: longer is a server that never ends
TRANSFER_TRIES_MAX = 6  # after the worker or the host agent ended in between
LOG_UPLOADS_MAX = 16  # of nodes' logs at a time
KEPT_FILE_BYTES_MAX = 1_048_576  # a larger file of a node that goes is named, but not kept
KEPT_TASK_BYTES_MAX = 8 * 1_048_576  # kept of one task: with base64 well inside one frame of the host agent
KEPT_TASK_FILES_MAX = 1000  # entries of one task
KEEP_MACHINE_S_MAX = 30.0  # then a machine goes though not all of its files are kept
KEEP_MACHINES_AT_ONCE = 8  # whose files are read side by side
FILE_ARCHIVE_MIB = 1024  # default bound of all that is kept; the oldest goes first
CONTAINER_STORE_MIB = 51_200  # default bound of unpacked container images; the longest unused goes first
PAGE_SIZE_MAX = 1000  # public limit of maxresults
FILES_LISTED_MAX = 10_000  # names asked of a node at a time: one message of the host agent's connection
NODE_COUNTS_PAGE_MAX = 10  # public limit of node counts
REMOVE_NODES_MAX = 100  # public limit of removenodes
POOL_TARGET_MAX = 10_000  # nodes of one kind in one pool: a slip of the pen must not fill the store
INTER_NODE_POOL_MAX = 100  # public limit of pools whose nodes talk to one another
INSTANCES_MAX = 150  # newest public limit of a task's instances
GANG_HOLD: Micros = (
    5 * MINUTE
)  # a gang keeps free nodes from others at most so long, then stands back as long
RESIZE_TIMEOUT_MIN: Micros = 5 * MINUTE  # public minimum
RESIZE_TIMEOUT_DEFAULT: Micros = 15 * MINUTE  # public default
RETENTION_DEFAULT: Micros = 7 * DAY  # public default since 2018-12-01
SLOTS_PER_NODE_MAX = 256  # public limit; also at most four per core
DISK_GIB_MAX = 32_767  # public limit of one disk
LUN_MAX = 63  # public limit
MOUNTS_MAX = 10  # public limit of one pool
MOUNT_TEXT_MAX = (
    1024  # characters of a mount's source, path or options: what the kernel takes is not much more
)
PRIORITY_MIN, PRIORITY_MAX = -1000, 1000  # public range
METADATA_BYTES_MAX = 8192  # unpublished; enough for any label, small enough to list
ENVIRONMENT_BYTES_MAX = 32 * 1024  # one task's own variables, below the kernel's limit for a program's start
CLOCK_SKEW: Micros = 15 * MINUTE  # public limit for shared-key signatures
METRIC_POOLS_MAX = 200  # pools told one by one: each has some twenty series
FOLLOWERS_MAX = 64  # clients that follow the journal: each holds a connection
FOLLOW_S_MAX = 3600  # one stay of a follower: the life of a token
EVENT_KINDS_MAX = 32  # asked for in one request
REQUEST_TIMEOUT_S = 30  # public ceiling of the timeout query parameter

HEARTBEAT_PERIOD: Micros = 5 * SECOND
NODE_UNKNOWN_AFTER: Micros = 90 * SECOND  # no contact this long: state unknown
NODE_LEASE: Micros = (
    10 * MINUTE
)  # no contact this long: the agent has ended its tasks, they may run elsewhere
NODE_JOIN_DEADLINE: Micros = 20 * MINUTE  # a node that has not joined by then is unusable
TASK_LIFE: Micros = 180 * DAY  # public limit from a task's creation to its completion; operators may set less
SYSTEM_REQUEUES_MAX = 10  # a task lost this often by its nodes is completed as failed
NODE_RECOVERIES_MAX = 3  # reboots tried on an unusable node before only the user may
KILL_GRACE_S = 30.0  # default of the time from SIGTERM to SIGKILL
ERRORS_PER_NODE_MAX = 10  # newest kept
CREATE_BATCH_MAX = 100  # machines asked of an engine in one call
LOGINS_BATCH_MAX = 10  # machines told in one pass who may log in: one after the other
NODE_USERS_MAX = 20  # users of one node
USER_ACCOUNTS_MAX = 20  # named accounts of one pool: each password costs some hundredths of a second to hash
ACCOUNT_KEYS_MAX = 64 * 1024  # characters of all their private keys, which go to each node in one message
APPLICATIONS_MAX = 20  # public limit of one account
STORAGE_ACCOUNTS_MAX = 250  # public limit of a subscription in one region
PACKAGES_PER_APPLICATION_MAX = 40  # public limit
PACKAGE_REFERENCES_MAX = 10  # public limit of one pool; the same of one task
PACKAGE_BYTES_MAX = 64 * 1024**3  # one uploaded archive: beyond any program, and before uploads fill a disk
PACKAGE_UPLOADS_AT_ONCE = 8  # requests that write at a time; each holds a piece in memory
CERTIFICATES_MAX = 500  # of one account
CERTIFICATE_BYTES_MAX = 10_240  # public limit of one upload
CERTIFICATE_REFERENCES_MAX = 10  # of one pool: they go to each node in one message
ACCOUNT_NAME_MAX = 20  # public limit of the names of user accounts
NAT_POOLS_MAX = 5  # public limit of one pool
NAT_POOL_NAME_MAX = 77  # public limit
FRONT_PORTS_MIN = 40  # public minimum of one NAT pool
FRONT_PORT_MAX = 65534  # public limit
LOGIN_PORTS = (
    50_000,
    55_000,
)  # never of a NAT pool, as in the public service: doors of remote login open here
ACCESS_RULES_MAX = 25  # public limit of network security rules of one pool
ACCESS_PRIORITY_MIN, ACCESS_PRIORITY_MAX = 150, 4096  # public range
SOURCE_PORT_RANGES_MAX = 100  # unpublished; each becomes part of a rule that every new connection meets
DOORS_MAX = 1000  # nodes whose remote login is open at a time
DOOR_CONNECTIONS_MAX = 32  # of one node at a time
ASSIGN_BATCH_MAX = 500  # tasks placed in one transaction
WRITE_QUEUE_MAX = 10_000  # waiting write transactions before the service answers ServerBusy
HOST_DISK_RESERVE_MIB = 512  # kept free on the host's disk for the store, its log and images being finished
HOST_DISK_RESERVE_SHARE = 10  # but at most this part of a small disk
PRESSURE_MEMORY_MIB = 256  # less available host memory than this preempts a low-priority node
FORMULA_CHARACTERS_MAX = 8192  # public limit of autoscale formulas
FORMULA_STATEMENTS_MAX = 100  # public limit
FORMULA_DEPTH_MAX = 100  # nesting of one expression: no formula needs it, and evaluation recurses
FORMULA_STEPS_MAX = 300_000  # operations and vector elements of one evaluation: a fraction of a second
AUTOSCALE_INTERVAL_MIN: Micros = 5 * MINUTE  # public range of the evaluation interval
AUTOSCALE_INTERVAL_MAX: Micros = 168 * HOUR
AUTOSCALE_INTERVAL_DEFAULT: Micros = 15 * MINUTE  # public default
AUTOSCALE_SPACING: Micros = 30 * SECOND  # public spacing of enable requests of one pool
SAMPLE_PERIOD: Micros = 30 * SECOND  # public period of autoscale samples
SAMPLE_LATENCY: Micros = 30 * SECOND  # a sample shows when the next is taken; see decide/autoscale/samples.py
SAMPLE_HISTORY: Micros = DAY  # samples kept

AUTO_POOL_PREFIX_MAX = 20  # public limit of autoPoolIdPrefix
SCHEDULE_SPAN_MIN: Micros = MINUTE  # public minimum of startWindow and recurrenceInterval
SCHEDULE_RETRY: Micros = 5 * SECOND  # a due job that could not be made is tried again this often
LINEAGE_MAX = 32  # origins told of one pool's image
REGROW_ABOVE = (
    300  # nodes: larger pools were to be resized several times by hand (public advice on large pools)
)
REGROW_ROUNDS_MAX = 20  # of one resize that begins again by itself
SIMULATED_BOOT: Micros = SECOND  # a simulated machine takes this long to come up: long enough to be seen
SIMULATED_TASK: Micros = SECOND  # a task of a simulated node, unless it says otherwise
SIMULATED_KILL: Micros = SECOND // 10  # to end one


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits the operator may set; None means no limit."""

    pools: int = 500
    active_jobs: int = 1000
    dedicated_cores: int | None = None
    low_priority_cores: int | None = None
    custom_image_max_dedicated: int = 2500
    custom_image_max_low_priority: int = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """Operator's choices that commands and planners look at."""

    quotas: Quotas = Quotas()
    strict_custom_image_auth: bool = (
        True  # shared key may not make pools from custom images, as in the public service
    )
    match_image_agent: bool = True  # a pool names the node agent that was found in its custom image
    allow_reimage: bool = False  # the public service refuses to reimage nodes of virtual-machine pools
    kill_grace_s: float = KILL_GRACE_S  # a task that is to end has this long to do so by itself
    task_life: Micros = TASK_LIFE  # from a task's creation to its end
    location: str = "local"
    regrow_large_pools: bool = True  # resizes of large pools go on by themselves while they get nodes
    auto_storage: bool = False  # the accounts have linked storage
    exports: tuple[Export, ...] = ()  # directories of this host that pools may mount
    storage_classes: tuple[StorageClass, ...] = ()  # types of disks with directories of their own
    service_port: int | None = None  # where this service answers, once that is known
    support_ends: tuple[
        tuple[str, Instant], ...
    ] = ()  # publisher:offer:sku in lower case, and its last moment
    autoscale_max_step: int | None = None  # nodes of one kind that one run of a formula may add
    events_kept: int = 200_000  # newest facts kept in the journal: about 80 MB
    events_age: Micros = 7 * DAY  # older facts are forgotten
