"""Which query parameters an operation takes; what it does not know would be ignored in silence, so it is refused.

The table follows the public operations (all released versions together). Names are compared in lower case.
"""

from __future__ import annotations

from functools import cache

from poolwright.wire.query import Query, bad_parameter

_COMMON = frozenset({"api-version", "timeout"})
_PAGED = frozenset({"maxresults", "$skiptoken"})
_WITH_STATISTICS = ("pool", "job", "job_schedule", "task")
_SELECTABLE = frozenset(
    {
        *(f"get_{kind}" for kind in (*_WITH_STATISTICS, "node", "node_extension", "certificate")),
        "list_subtasks",
    }
)
_EXPANDABLE = frozenset(
    {
        *(f"get_{kind}" for kind in _WITH_STATISTICS),
        *(f"list_{kind}s" for kind in _WITH_STATISTICS),
        "list_jobs_from_schedule",
    }
)
_OWN = {
    "list_pool_usage_metrics": ("starttime", "endtime"),
    "list_node_files": ("recursive",),
    "list_task_files": ("recursive",),
    "delete_node_file": ("recursive",),
    "delete_task_file": ("recursive",),
    "delete_pool": ("force",),  # ours: an auto pool that is in use
    "delete_job": ("force",),
    "terminate_job": ("force",),
    "delete_job_schedule": ("force",),
    "terminate_job_schedule": ("force",),
    "evaluate_pool_auto_scale": ("apply",),  # ours: carry the result out
    "read_events": ("after", "kind", "maxresults"),  # ours
}


@cache
def of(operation: str) -> frozenset[str]:
    """The parameters of an operation by its name in the registry."""
    names = _COMMON.union(_OWN.get(operation, ()))
    if operation.startswith("list_"):
        names |= _PAGED | {"$filter", "$select"}
    if operation in _SELECTABLE:
        names |= {"$select"}
    if operation in _EXPANDABLE:
        names |= {"$expand"}
    return names


def check(operation: str, query: Query) -> None:
    """Raises ServiceError UnsupportedQueryParameter for the first parameter that the operation does not take."""
    known = of(operation)
    for name, value in query.items():
        if name not in known:
            reason = f"This operation takes {', '.join(sorted(known))}."
            raise bad_parameter(name[:100], value, reason, "UnsupportedQueryParameter")
