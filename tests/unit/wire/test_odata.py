"""Filters, selections, pages and versions."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.domain.errors import ServiceError
from poolwright.wire import filters, odata, paging, versions
from poolwright.wire.query import Query

TASK: dict[str, Any] = {
    "id": "Frame-007",
    "state": "completed",
    "creationTime": "2026-01-27T22:25:10.90139Z",
    "executionInfo": {"exitCode": 3, "result": "failure"},
}


def matches(text: str, document: dict[str, Any] = TASK, fields: filters.Fields = filters.TASKS) -> bool:
    test = odata.read_filter(Query("$filter=" + text.replace(" ", "%20").replace("+", "%2B")), fields)
    assert test is not None
    return test(document)


@pytest.mark.parametrize(
    "text",
    [
        "state eq 'completed'",
        "state eq 'COMPLETED'",
        "state ne 'active'",
        "id eq 'frame-007'",
        "startswith(id,'FRAME')",
        "id gt 'frame-006' and id lt 'frame-008'",
        "creationTime gt DateTime'2026-01-27T22:25:10Z'",
        "creationTime ge datetime'2026-01-27T22:25:10.90139Z'",
        "creationTime lt '2026-01-28'",
        "creationTime gt DateTime'Tue, 27 Jan 2026 22:25:10 GMT'",
        "executionInfo/exitCode eq 3",
        "executionInfo/exitCode ge -1",
        "executionInfo/result eq 'failure'",
        "executionInfo/exitCode ne 0",
        "state eq 'active' or state eq 'running' or executionInfo/exitCode gt 2",
        "(state eq 'active' or state eq 'completed') and (executionInfo/exitCode gt 2)",
        "state eq 'completed' or state eq 'active' and id eq 'x'",
    ],
)
def test_filters_that_match(text: str) -> None:
    assert matches(text)


@pytest.mark.parametrize(
    "text",
    [
        "state eq 'active'",
        "startswith(id,'x')",
        "executionInfo/exitCode eq 4",
        "executionInfo/endTime gt DateTime'2020-01-01'",
        "nodeInfo/nodeId eq 'x'",
        "nodeInfo/nodeId ne 'x'",  # it has none: nothing can be said of it
        "lastModifiedTime ne '2026-01-01'",
        "(state eq 'completed' or state eq 'active') and id eq 'x'",
        "id eq 'it''s'",
    ],
)
def test_filters_that_do_not(text: str) -> None:
    assert not matches(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("colour eq 'red'", "cannot be filtered by 'colour'"),
        ("state gt 'a'", "takes eq, ne, not 'gt'"),
        ("startswith(state,'a')", "not 'startswith'"),
        ("executionInfo/exitCode eq '3'", "compared with a number"),
        ("executionInfo/exitCode eq true", "compared with a number"),
        ("id eq 3", "compared with a string"),
        ("state eq", "cannot be read"),
        ("state eq 'a' and", "cannot be read"),
        ("State eq 'a'", "cannot be filtered by 'State'"),
        ("creationTime gt DateTime'noon'", "RFC 1123"),
        ("id eq 'x' or " * 200 + "id eq 'x'", "at most"),
    ],
)
def test_filters_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ServiceError) as refused:
        matches(text)
    assert refused.value.code == "InvalidQueryParameterValue"
    assert reason in dict(refused.value.values)["Reason"]


def test_flags() -> None:
    pool = {"enableAutoScale": False}
    assert matches("enableAutoScale eq false", pool, filters.POOLS)
    assert not matches("enableAutoScale ne false", pool, filters.POOLS)


def test_deep_filters_are_read_or_refused_but_never_break() -> None:
    deep = "(" * 500 + "state eq 'completed'" + ")" * 500
    assert matches(deep)
    nested = "(state eq 'completed' and " * 70 + "state eq 'completed'" + ")" * 70
    assert matches(nested)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    with suppress(ValueError):
        odata.parse(text)


@given(st.text(alphabet="abcXYZ' ", min_size=1, max_size=20))
def test_strings_of_any_content_are_compared_whole(text: str) -> None:
    quoted = text.replace("'", "''")
    node = odata.parse(f"id eq '{quoted}'")
    assert node == odata.Comparison("id", "eq", text, quoted=True)


def test_selection() -> None:
    members = frozenset({"id", "state", "executionInfo"})
    assert odata.read_select(Query(""), members) is None
    names = odata.read_select(Query("$select=id,%20executionInfo/exitCode"), members)
    assert names == frozenset({"id", "executionInfo"})
    assert odata.selected(TASK, names) == {"id": "Frame-007", "executionInfo": TASK["executionInfo"]}


@given(
    st.text(
        alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=64
    )
)
def test_skip_tokens_survive(after: str) -> None:
    page = paging.read_page(Query(f"$skiptoken={paging.skip_token(after)}"))
    assert page.after == after


@pytest.mark.parametrize("token", ["!", "x", "MA", "abcd", "MQ", "Mf8", "M" * 5000])
def test_foreign_skip_tokens_are_refused(token: str) -> None:
    with pytest.raises(ServiceError) as refused:
        paging.read_page(Query(f"$skiptoken={token}"))
    assert refused.value.code == "InvalidQueryParameterValue"


def test_the_next_link_repeats_the_query() -> None:
    query = Query("api-version=2025-06-01&$filter=state%20eq%20'a%26b'&MaxResults=5&$skiptoken=MXg")
    assert query.number("maxresults") == 5
    link = paging.next_link("https://h:1/acct/jobs", query, "job 9")
    assert link == (
        "https://h:1/acct/jobs?api-version=2025-06-01&$filter=state%20eq%20%27a%26b%27&MaxResults=5&$skiptoken="
        + paging.skip_token("job 9")
    )
    again = Query(link.partition("?")[2])
    assert again.text("$FILTER") == "state eq 'a&b'"
    assert paging.read_page(again) == paging.Page(5, "job 9")


def test_queries_that_cannot_be_read() -> None:
    for raw in ("x=%ff", "&".join(f"p{n}=1" for n in range(65))):
        with pytest.raises(ServiceError) as refused:
            Query(raw)
        assert refused.value.code == "RequestUrlFailedToParse"
    assert Query("recursive=True").flag("recursive")
    assert not Query("").flag("recursive")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2025-06-01", {"deallocated": 0, "upgradingOS": 0}),
        ("2024-02-01.19.0", {"upgradingOS": 0}),
        ("2022-01-01.15.0", {}),
    ],
)
def test_node_counts_by_version(version: str, expected: dict[str, int]) -> None:
    counts = {"poolId": "p", "dedicated": {"deallocated": 0, "upgradingOS": 0}, "lowPriority": {}}
    found = versions.shape("nodecounts", counts, versions.read_version(Query(f"api-version={version}")))
    assert found["dedicated"] == expected


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("startswith(name, 'wd/')", "wd/"),
        ("startswith(name,'it''s')", "it's"),
        ("startswith(url,'wd/')", ""),
        ("startswith(name,'a') or startswith(name,'b')", ""),
        ("", ""),
    ],
)
def test_a_filter_that_is_only_a_prefix_is_known_as_one(text: str, prefix: str) -> None:
    asked = Query("$filter=" + quote(text) if text else "")
    assert odata.only_prefix(asked, "name") == prefix
