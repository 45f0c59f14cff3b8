"""Paths of the management plane: any case of letters, exact words before variables, all declared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from poolwright.api.arm import ROUTES
from poolwright.api.arm.call import Call, empty
from poolwright.api.arm.router import ArmRoute, Paths
from poolwright.api.auth import PUBLIC, Permission, permission

PATHS = Paths(ROUTES)
_SAFE = st.text(
    alphabet=st.characters(whitelist_categories=("Ll", "Lu", "Nd"), whitelist_characters="._-"),
    min_size=1,
    max_size=20,
)


async def _handler(call: Call) -> Response:
    return empty(200)


@given(st.sampled_from(ROUTES), st.randoms(use_true_random=False), st.data())
def test_every_route_is_found_in_any_case(route: ArmRoute, random: object, data: st.DataObject) -> None:
    words = []
    expected: dict[str, str] = {}
    for word in route.template.strip("/").split("/"):
        if word.startswith("{"):
            value = data.draw(_SAFE)
            expected[word.strip("{}")] = value
            words.append(value)
        else:
            words.append("".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in word))
    found = PATHS.match(route.method, "/" + "/".join(words))
    assert found is not None
    assert found.route is not None
    if found.route is route:
        assert dict(found.params) == expected
    else:  # a drawn name happens to be a fixed word of a sibling
        assert any(value.lower() in found.route.template.lower() for value in expected.values())


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "//",
        "/subscriptions//resourceGroups",
        "/subscriptions/s/resourceGroups//providers/Microsoft.Compute/disks/d",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/v/start/again",
        "/x" * 1000,
    ],
)
def test_other_paths_lead_nowhere(path: str) -> None:
    found = PATHS.match("GET", path)
    assert found is None or found.route is None


def test_an_escaped_slash_stays_inside_its_name() -> None:
    base = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks"
    found = PATHS.match("GET", f"{base}/a%2Fb%20c")
    assert found is not None
    assert found.params["name"] == "a/b c"


def test_a_path_that_knows_other_methods_tells_them() -> None:
    found = PATHS.match("POST", "/subscriptions/s/resourceGroups/g")
    assert found is not None
    assert found.route is None
    assert set(found.methods) == {"GET", "HEAD", "PUT", "PATCH", "DELETE"}


def test_every_route_declares_a_permission_that_fits_its_method() -> None:
    for route in ROUTES:
        verb = route.permission.rpartition("/")[2]
        allowed = {
            "GET": {"read"},
            "HEAD": {"read"},
            "PUT": {"write"},
            "PATCH": {"write"},
            "DELETE": {"delete"},
        }
        assert route.permission == PUBLIC or verb in allowed.get(route.method, {"action", "read"}), route
    assert [route.template for route in ROUTES if route.permission == PUBLIC] == ["/metadata/endpoints"]


def test_a_route_without_permission_is_refused() -> None:
    with pytest.raises(RuntimeError, match="/x"):
        Paths([ArmRoute("GET", "/x", Permission(""), _handler)])


def test_two_routes_for_one_path_are_refused() -> None:
    read = permission("Microsoft.Compute/disks/read")
    with pytest.raises(ValueError, match="two routes"):
        Paths([ArmRoute("GET", "/a/{x}", read, _handler), ArmRoute("GET", "/A/{x}", read, _handler)])
    with pytest.raises(ValueError, match="variable"):
        Paths([ArmRoute("GET", "/a/{x}", read, _handler), ArmRoute("PUT", "/a/{y}/b", read, _handler)])
