"""The transfer worker: a process beside the host agent that moves files between nodes and storage.

It speaks with servers that users name, so it is no part of the host agent or the service: each job is a process of its
own (`jobs.py`), forked from a small preloaded one (`worker.py`) and ended by a kill.
"""
