"""Benchmarks: ratios against a floor in the same run, with spread. Run them with `./dev bench [NAME]`."""

from __future__ import annotations
