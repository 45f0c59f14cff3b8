"""The public rules of resource files and output files, row by row, on a real node; common files of a gang."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.e2e.service.test_multi_instance import settings
from tests.e2e.service.test_transfers import output
from tests.support import faulty
from tests.support.faulty import Faulty
from tests.support.storage import Storage

pytestmark = pytest.mark.one_service


@pytest.fixture
def server() -> Iterator[Faulty]:
    made = Faulty()
    yield made
    made.close()


def failure(live: Live, task: str) -> tuple[str, str]:
    """Category and code of a task's failure."""
    info = live.batch.get_task("job", task)["executionInfo"]["failureInfo"]
    return str(info["category"]), str(info["code"])


def test_resource_files(live: Live, storage: Storage, server: Faulty) -> None:
    names = {"data1__one": b"1", "data1__deep__two": b"2", "dax": b"3", "other": b"4", "data1__sp ace": b"5"}
    box = storage.container(**names)
    url = storage.signed(box, allow="rl")
    listing = "/bin/sh -c 'cd in && find . -type f -printf \"%P %m\\n\" | sort'"
    given: dict[str, list[dict[str, Any]]] = {
        # the prefix may be part of a name, directories below are kept, the mode holds for all of it
        "prefix": [
            {"storage_container_url": url, "blob_prefix": "da", "file_path": "in", "file_mode": "0640"}
        ],
        "whole": [{"storage_container_url": url, "file_path": "in"}],
        # any URL, not only of blobs; a directory in the path is made
        "http": [{"http_url": f"{server.url}/any", "file_path": "in/deep/file", "file_mode": "0444"}],
        "absent": [{"http_url": storage.signed(box, "absent"), "file_path": "x"}],
        "denied": [{"http_url": storage.signed(box, "other", "w"), "file_path": "x"}],
        "no-container": [{"storage_container_url": storage.signed("nowhere")}],
        "unlisted": [{"storage_container_url": storage.signed(box, allow="r")}],
        "odd": [{"http_url": f"{server.url}/odd", "file_path": "x"}],
        "in-the-way": [
            {"http_url": f"{server.url}/1", "file_path": "x"},
            {"http_url": server.url, "file_path": "x/y"},
        ],
    }

    def plan(_: int, request: Any) -> None:
        faulty.answer(request, 418) if request.path == "/odd" else faulty.whole(request)

    server.plan = plan
    live.idle_pool(dedicated=1, slots=4)
    live.job()
    for id, files in given.items():
        kept = output("*", storage.signed(box), path=f"never/{id}")
        outputs = [] if id in ("prefix", "whole", "http") else [kept]
        live.task(
            id, listing, resource_files=[batch.ResourceFile(**file) for file in files], output_files=outputs
        )
    live.wait_completed(len(given))
    assert live.output("prefix").splitlines() == [
        "data1/deep/two 640",
        "data1/one 640",
        "data1/sp ace 640",
        "dax 640",
    ]
    assert live.output("whole").splitlines()[-1] == "other 770"
    assert live.output("http").splitlines() == ["deep/file 444"]
    assert failure(live, "absent") == ("usererror", "BlobNotFound")
    assert failure(live, "denied") == ("usererror", "BlobAccessDenied")
    assert failure(live, "no-container") == ("usererror", "ResourceContainerNotFound")
    assert failure(live, "unlisted") == ("usererror", "ResourceContainerAccessDenied")
    assert failure(live, "odd") == ("servererror", "BlobDownloadMiscError")
    assert failure(live, "in-the-way")[1] in ("ResourceDirectoryCreateFailed", "ResourceFileCreateFailed")
    ended = live.batch.get_task("job", "absent")["executionInfo"]
    assert ("exitCode" in ended, ended["result"]) == (False, "failure")
    assert not [name for name in storage.blobs(box) if name.startswith("never")], "it never started"


CONDITIONS = ("completion", "success", "failure")
MAKE = """#!/bin/sh
mkdir -p out/deep .dir
for name in a.gif b.gif .c.gif ab.txt xb.txt 'star*' out/d.gif out/deep/e.gif .dir/f.gif; do
    echo "$name" > "$name"
done
exit ${1:-0}
"""


def test_patterns_of_output_files(live: Live, storage: Storage) -> None:
    box = storage.container(make=MAKE.encode())
    make = batch.ResourceFile(http_url=storage.signed(box, "make"), file_path="make", file_mode="0700")
    patterns = {
        "star": ("*.gif", {"a.gif", "b.gif"}),
        "any": ("**/*.gif", {"a.gif", "b.gif", "out/d.gif", "out/deep/e.gif"}),
        "below": ("out/**/*", {"d.gif", "deep/e.gif"}),
        "one": ("?b.txt", {"ab.txt", "xb.txt"}),
        "set": ("[a-c].gif", {"a.gif", "b.gif"}),
        "not": ("[!a].gif", {"b.gif"}),
        "dot": (".*.gif", {".c.gif"}),
        "literal": ("star[*]", {"star*"}),
        "base": ("../std*.txt", {"stdout.txt", "stderr.txt"}),
        "absolute": ("$AZ_BATCH_TASK_WORKING_DIR/out/*.gif", {"d.gif"}),
        "percent": ("%AZ_BATCH_TASK_DIR%/wd/out/*.gif", {"d.gif"}),
        "none": ("nothing*", set()),
    }
    live.idle_pool(dedicated=1, slots=4)
    live.job()
    for id, (pattern, _) in patterns.items():
        live.task(
            id, "./make", resource_files=[make], output_files=[output(pattern, storage.signed(box), path=id)]
        )
    live.wait_completed(len(patterns))
    came = storage.blobs(box)
    for id, (pattern, wanted) in patterns.items():
        found = {name.removeprefix(f"{id}/") for name in came if name.startswith(f"{id}/")}
        assert found == wanted, pattern
        assert live.batch.get_task("job", id)["executionInfo"]["result"] == "success", pattern


def test_conditions_and_names_of_output_files(live: Live, storage: Storage) -> None:
    box, kept = storage.container(make=MAKE.encode()), storage.container()
    make = batch.ResourceFile(http_url=storage.signed(box, "make"), file_path="make", file_mode="0700")
    url = storage.signed(kept)
    live.idle_pool(dedicated=1)
    live.job()
    for id, code in (("succeeds", 0), ("fails", 3)):
        outputs = [output("a.gif", url, f"task{when}", path=f"{when}-{id}") for when in CONDITIONS]
        if code == 0:
            # without a path: the container's root, with the file's relative name
            outputs.append(output("out/*.gif", url))
            # without wildcards the path is the blob's name
            outputs.append(output("out/d.gif", url, path="renamed"))
        live.task(id, f"./make {code}", resource_files=[make], output_files=outputs)
    live.wait_completed(2)
    assert set(storage.blobs(kept)) == {
        "d.gif",
        "renamed",
        "completion-succeeds",
        "success-succeeds",
        "completion-fails",
        "failure-fails",
    }
    live.task("quiet", "true")
    live.wait_task("quiet", "completed")
    texts = {str(file["name"]) for file in live.batch.list_task_files("job", "quiet")}
    assert not texts & {"fileuploadout.txt", "fileuploaderr.txt"}, "nothing was tried"


def test_common_files_come_to_every_node_of_a_gang(live: Live, storage: Storage) -> None:
    box = storage.container(common__all=b"for all\n", own=b"for one\n")
    common = batch.ResourceFile(storage_container_url=storage.signed(box, allow="rl"), blob_prefix="common/")
    own = batch.ResourceFile(http_url=storage.signed(box, "own"), file_path="own")
    live.idle_pool(dedicated=2, slots=1, enable_inter_node_communication=True)
    live.job()
    live.task(
        "gang",
        "/bin/sh -c 'cat own $AZ_BATCH_TASK_SHARED_DIR/common/all'",
        resource_files=[own],
        multi_instance_settings=settings(
            "cat $AZ_BATCH_TASK_SHARED_DIR/common/all >$AZ_BATCH_NODE_SHARED_DIR/common;"
            " ls $AZ_BATCH_TASK_WORKING_DIR >>$AZ_BATCH_NODE_SHARED_DIR/common",
            2,
            common_resource_files=[common],
        ),
    )
    done = live.wait_task("gang", "completed")
    assert done["executionInfo"].get("exitCode") == 0, done
    assert live.output("gang") == "for one\nfor all\n"
    for node in live.batch.list_nodes("pool"):
        data = live.batch.download_node_file("pool", str(node["id"]), "shared/common")
        said = b"".join(data).decode().split("\n")
        assert said[0] == "for all", "before its coordination command every node has the common files"
    lost = batch.ResourceFile(http_url=storage.signed(box, "lost"), file_path="lost")
    lacking = settings("true", 2, common_resource_files=[lost])
    live.task("lacks", "true", multi_instance_settings=lacking)
    live.wait_task("lacks", "completed")
    assert failure(live, "lacks") == ("usererror", "BlobNotFound")
