"""Container tasks: images from a real registry, run on real nodes, through the official client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.support.registry import Registry, registry


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Registry]:
    """A registry that lets everybody pull."""
    with registry(tmp_path / "registry") as made:
        yield made


def containers(*images: str, registries: list[Any] | None = None) -> dict[str, Any]:
    made = batch.BatchContainerConfiguration(
        type="dockerCompatible", container_image_names=list(images), container_registries=registries
    )
    return {"container_configuration": made}


def inside(image: str, **more: Any) -> batch.BatchTaskContainerSettings:
    return batch.BatchTaskContainerSettings(image_name=image, **more)


def failure(done: Any) -> Any:
    return done["executionInfo"].get("failureInfo", {})


def test_a_task_runs_in_an_image_that_its_pool_brought(live: Live, hub: Registry) -> None:
    hub.push("tools/shell", Env=["GREETING=hello"])
    image = f"{hub.server}/tools/shell"
    live.idle_pool(dedicated=2, machine=containers(image))
    live.job()
    live.task(
        "t", "echo $GREETING from $AZ_BATCH_TASK_ID; id -u; ls /; exit 3", container_settings=inside(image)
    )
    done = live.wait_task("t", "completed")
    assert done["executionInfo"].get("exitCode") == 3, failure(done)
    said = live.output("t").split("\n")
    assert said[:2] == ["hello from t", "1500"]
