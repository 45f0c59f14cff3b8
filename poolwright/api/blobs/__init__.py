"""Disks as page blobs: the few operations by which the bytes of a disk are uploaded and downloaded."""

from __future__ import annotations

from poolwright.api.blobs.bytes import BytesRefused, DiskBytes
from poolwright.api.blobs.pages import BlobServices, blob_routes

__all__ = ["BlobServices", "BytesRefused", "DiskBytes", "blob_routes"]
