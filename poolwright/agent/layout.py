"""Where things are inside a machine, and who its automatic users are."""

from __future__ import annotations

NODE_ROOT = "mnt/batch/tasks"  # AZ_BATCH_NODE_ROOT_DIR, on the machine's temporary disk
DISKS = "mnt/disks"
LOGIN_KIT = "mnt/batch/ssh"  # the SSH server for images without one; empty until a node needs it
#: A bounded root with less room than this is full: the threshold that the public service tells tasks of.
ROOT_RESERVED_BYTES = 1_000_000
MOUNTS = "fsmounts"  # AZ_BATCH_NODE_MOUNTS_DIR, below the node root
NODE_DIRECTORIES = ("startup", "shared", "applications", MOUNTS, "volatile", "workitems")
TRASH = ".trash"  # replaced task directories, emptied by the host agent

POOL_USER = "_azbatch"
POOL_UID = 1500
TASK_USER = "_azbatchtask"
TASK_UID = 2000
TASK_USERS = 256  # no node offers more task slots
