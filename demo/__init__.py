"""The guided story: a virtual machine, its snapshots, an image, a pool of clones, a job, its results.

Run it with `./dev demo`. It plays through the official, unmodified Azure clients only, in a process of its own.
"""

from __future__ import annotations
