"""Application packages in the life of a node, and the names of their variables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.decide import explain
from poolwright.decide.node_events import Booted, installed, joined, next_life, without_packages
from poolwright.decide.node_life import Act, tick
from poolwright.domain.clock import SECOND
from poolwright.domain.containers import PULL_ERROR, ContainerSettings
from poolwright.domain.limits import NODE_UNKNOWN_AFTER
from poolwright.domain.package import PACKAGE_ERROR, InstalledPackage, NodePackages, variables
from poolwright.domain.phases import Phase, phases
from poolwright.domain.pool import StartTask
from poolwright.domain.states import NodeState
from poolwright.reconcile.environment import container_problem
from tests.unit.decide.parts import NOW, node, pool
from tests.unit.decide.test_node_life import at

ONE = InstalledPackage("render-er", "1.0b", "d" * 64, plain=True)
WANTED = NodePackages((ONE,), pending=True)
START = StartTask("start")


def test_packages_come_before_the_start_task() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), START, NOW, WANTED)
    assert (row.state, row.start_task) == (NodeState.STARTING, None)
    assert tick(row, at(NOW, row)).act is Act.INSTALL
    done = installed(row, START, NOW)
    assert (done.state, done.packages.pending) == (NodeState.WAITING_FOR_START_TASK, False)
    assert installed(row, None, NOW).state is NodeState.IDLE
    assert next_life(done, NodeState.REBOOTING, NOW, "reboot").packages == NodePackages()


def test_a_silent_node_goes_on_installing_when_it_is_heard_again() -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), None, NOW, WANTED)
    later = NOW + NODE_UNKNOWN_AFTER
    lost = tick(row, at(later, row)).node
    assert lost.state is NodeState.UNKNOWN
    back = tick(replace(lost, seen_at=later), at(later, lost)).node
    assert back.state is NodeState.STARTING
    assert tick(back, at(later, back)).act is Act.INSTALL


@pytest.mark.parametrize("code", [PACKAGE_ERROR, PULL_ERROR])
def test_a_node_without_its_packages_or_images_waits_for_its_user(code: str) -> None:
    row = joined(node(state=NodeState.CREATING), Booted(), None, NOW, WANTED)
    row = without_packages(row, "There is none.", NOW, code)
    (error,) = row.errors
    assert (row.state, error.code) == (NodeState.UNUSABLE, code)
    far = NOW + 100 * NODE_UNKNOWN_AFTER
    plan = tick(row, at(far, row))
    assert (plan.act, plan.node.state) == (None, NodeState.UNUSABLE)


def test_images_come_with_packages_and_their_time_is_told() -> None:
    images = NodePackages(pending=True, containers=True)
    asked = node(state=NodeState.CREATING, history=((NOW, "creating", "asked"),))
    row = joined(asked, Booted(), START, NOW + SECOND, images)
    assert explain.node(row, pool(1), transfer="its images are pulled").code == "PullingImages"
    assert phases(row)[-2:] == (Phase("images", NOW + SECOND, None), Phase("total", NOW, None))
    done = installed(row, START, NOW + 3 * SECOND)
    assert done.packages.containers
    assert phases(done)[-3] == Phase("images", NOW + SECOND, 2000.0)
    lacking = without_packages(row, "There is none.", NOW, PULL_ERROR)
    assert (lacking.state, lacking.errors[0].code) == (NodeState.UNUSABLE, "ContainerImagePullError")
    assert "registry" in explain.node(lacking, pool(1)).next_step


@pytest.mark.parametrize(
    ("container", "containers", "needed", "refused"),
    [
        (ContainerSettings("x"), False, True, "no containerConfiguration"),
        (ContainerSettings("x"), False, False, "no containerConfiguration"),
        (None, True, True, "no containerSettings"),
        (None, True, False, None),
        (None, False, True, None),
        (ContainerSettings("x"), True, True, None),
    ],
)
def test_who_must_and_who_may_have_container_settings(
    container: ContainerSettings | None, containers: bool, needed: bool, refused: str | None
) -> None:
    row = replace(node(), packages=NodePackages(containers=containers))
    said = container_problem(container, row, needed=needed)
    assert (said is None) if refused is None else (said is not None and refused in said)


def test_names_of_variables() -> None:
    place = f"/node/applications/render-er-1.0b-{'d' * 12}"
    told = variables([ONE], "/node")
    names = {name.removeprefix("AZ_BATCH_APP_PACKAGE_") for name in told}
    assert names == {
        "render_er_1_0b",
        "RENDER_ER_1_0B",
        "render_er",
        "RENDER_ER",
    }
    assert set(told.values()) == {place}
    assert len(variables([replace(ONE, plain=False)], "/node")) == 2
