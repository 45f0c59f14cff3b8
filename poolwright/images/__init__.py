"""The image plane: disks, snapshots and base images as files on one host.

Everything here is synchronous and meant for a thread pool. It knows files and file systems only: no store, no HTTP,
no engine. Whoever calls it owns the rows and records what it is about to do first.
"""
