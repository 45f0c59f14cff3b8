"""Quotas of the operator: small ones in some stories, never exceeded in any."""

from __future__ import annotations

from random import Random

from poolwright.domain import sizes
from poolwright.domain.limits import Quotas
from poolwright.sim.seen import ACCOUNT, Seen

#: A node of the stories has two cores.
_TIGHT = Quotas(pools=3, active_jobs=5, dedicated_cores=8, low_priority_cores=6)


def choose(rng: Random) -> Quotas:
    """Small quotas in one story of four."""
    return _TIGHT if rng.random() < 0.25 else Quotas()


class QuotasKept:
    """Nodes, pools, jobs and schedules stay within the quotas."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def check(self, seen: Seen) -> list[str]:
        tx, quotas = seen.tx, self._quotas
        cores = {True: 0, False: 0}
        for pool, node in seen.nodes:
            size = sizes.find(pool.spec.vm_size)
            cores[node.dedicated] += size.cores if size is not None else 1
        used = (
            ("dedicated cores", cores[True], quotas.dedicated_cores),
            ("low-priority cores", cores[False], quotas.low_priority_cores),
            ("pools", tx.pools.count(ACCOUNT), quotas.pools),
            (
                "active jobs and schedules",
                tx.jobs.count_active(ACCOUNT) + tx.schedules.count_active(ACCOUNT),
                quotas.active_jobs,
            ),
        )
        return [f"{have} {what} of {most}" for what, have, most in used if most is not None and have > most]
