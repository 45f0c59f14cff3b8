"""Where things are inside a machine, and who its automatic users are."""

from __future__ import annotations

NODE_ROOT = "mnt/batch/tasks"  # AZ_BATCH_NODE_ROOT_DIR, on the machine's temporary disk
DISKS = "mnt/disks"
LOGIN_STATE = "var/lib/poolwright-login"  # what the login script keeps; of root
LOGIN_FIRST_UID = 10_000  # people who log in; above every account that tasks run as
LOGIN_KIT = "mnt/batch/ssh"  # the SSH server for images without one; empty until a node needs it
#: A bounded root with less room than this is full: the threshold that the public service tells tasks of.
ROOT_RESERVED_BYTES = 1_000_000
SERVICE_NAME = "service.poolwright.internal"  # by which machines reach the service on their host
AUTHORITY = ".authority.pem"  # below the node root: that of the service alone
TRUST = ".trust.pem"  # below the node root: authorities of the image and that of the service; see trust.py
CERTIFICATES = "mnt/batch/certs"  # a directory for each of those who may see some; not below the node root
RUNTIME = "mnt/batch/crun"  # the container runtime; empty until a node needs it
IMAGES = "mnt/batch/images"  # container images, each under its key
CONTAINERS = ".containers"  # below the node root: what containers write, readable by root only
MOUNTS = "fsmounts"  # AZ_BATCH_NODE_MOUNTS_DIR, below the node root
APPLICATIONS = "applications"  # unpacked packages
NODE_DIRECTORIES = ("startup", "shared", APPLICATIONS, MOUNTS, "volatile", "workitems")
TRASH = ".trash"  # replaced task directories, emptied by the host agent

POOL_USER = "_azbatch"
POOL_UID = 1500
TASK_USER = "_azbatchtask"
TASK_UID = 2000
TASK_USERS = 256  # no node offers more task slots

#: Who belongs to them reads the certificates meant for start tasks, and for tasks of jobs.
START_TASK_GROUP, START_TASK_GID = "_azbatchstart", 1601
TASK_GROUP, TASK_GID = "_azbatchtasks", 1602
