"""Jobs of the transfer worker against real storage, and against servers that misbehave."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolwright.transfer.failures import TransferFailed, disk_errors
from tests.contract.transfer.worker import Worker
from tests.support import faulty
from tests.support.faulty import DATA, Faulty
from tests.support.storage import Storage

HASTY = {"tries": 3, "first_wait_s": 0.01}
TASK = "workitems/j/job-1/t"
WD = TASK + "/wd"


WORKER = Worker()


@pytest.fixture(scope="module", autouse=True)
def worker() -> Iterator[Worker]:
    WORKER.open()
    yield WORKER
    WORKER.close()


def fetch(root: Path, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    told = [{"from": "http", "path": "file", "mode": 0o770, **item} for item in items]
    order = {"kind": "fetch", "root": str(root), "dir": TASK, "fresh": True, "items": told, "patience": HASTY}
    return WORKER.run({**order, **more})


def deliver(root: Path, *items: dict[str, Any], **variables: str) -> dict[str, Any]:
    env = {"AZ_BATCH_NODE_ROOT_DIR": "/mnt/batch/tasks", **variables}
    return WORKER.run({"kind": "deliver", "root": str(root), "dir": TASK, "items": items, "env": env})


def test_a_container_comes_with_its_directories(root: Path, storage: Storage) -> None:
    name = storage.container(a__one=b"1", a__b__two=b"2", z=b"no")
    storage.put(name, "a/sp ace%41#?", b"odd")
    item = {"from": "container", "url": storage.signed(name), "prefix": "a/", "path": "in", "mode": 0o640}
    assert fetch(root, item) == {"ok": True, "files": 3, "bytes": 5}
    found = {str(p.relative_to(root / WD)): p.read_bytes() for p in (root / WD).rglob("*") if p.is_file()}
    assert found == {"in/a/one": b"1", "in/a/b/two": b"2", "in/a/sp ace%41#?": b"odd"}
    assert {oct(p.stat().st_mode)[-3:] for p in (root / WD).rglob("*") if p.is_file()} == {"640"}


@pytest.mark.parametrize(
    ("what", "allow", "lasts_s", "code"),
    [
        ("blob", "r", -60, "BlobAccessDenied"),
        ("blob", "l", 60, "BlobAccessDenied"),
        ("absent", "rl", 60, "BlobNotFound"),
        ("container", "r", 60, "ResourceContainerAccessDenied"),
        ("nothing", "rl", 60, "ResourceContainerNotFound"),
    ],
)
def test_what_storage_refuses_is_told_by_its_code(
    root: Path, storage: Storage, what: str, allow: str, lasts_s: int, code: str
) -> None:
    name = "no-such-container" if what == "nothing" else storage.container(blob=b"x")
    blob = what if what in ("blob", "absent") else ""
    url = storage.signed(name, blob, allow, lasts_s)
    outcome = fetch(root, {"from": "http" if blob else "container", "url": url})
    assert (outcome["ok"], outcome["code"]) == (False, code)
    assert "sig=" not in str(outcome)
    assert not list((root / WD).iterdir())


def test_a_broken_download_goes_on_where_it_broke(root: Path, server: Faulty) -> None:
    def plan(number: int, request: Any) -> None:
        if number == 1:
            faulty.broken(request, 100_000)
        elif number == 2:
            faulty.answer(request, 503)
        else:
            faulty.rest(request)

    server.plan = plan
    assert fetch(root, {"url": server.url + "/f"})["ok"]
    assert (root / WD / "file").read_bytes() == DATA
    assert [one["range"] for one in server.requests] == [None, "bytes=100000-", "bytes=100000-"]


def test_a_server_that_sends_drop_by_drop_is_given_up(root: Path, server: Faulty) -> None:
    over = threading.Event()

    def plan(_: int, request: Any) -> None:
        faulty.broken(request, 10)
        with contextlib.suppress(OSError):
            while not over.wait(0.01):
                request.wfile.write(b"x")

    server.plan = plan
    hasty = {**HASTY, "window_s": 0.2}
    outcome = fetch(root, {"url": server.url + "/f"}, patience=hasty)
    over.set()
    assert (outcome["ok"], outcome["code"], len(server.requests)) == (False, "BlobDownloadTimedOut", 3)
    assert "too slow" in outcome["message"]


def test_few_bytes_a_try_do_not_begin_the_count_anew(root: Path, server: Faulty) -> None:
    def plan(number: int, request: Any) -> None:
        if number == 1:
            faulty.broken(request, 1000)
        else:
            start = int(str(request.headers["Range"]).removeprefix("bytes=").rstrip("-"))
            told = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
            rest = str(len(DATA) - start)
            faulty.answer(
                request, 206, DATA[start : start + 1000], ETag='"v1"', Content_Range=told, Content_Length=rest
            )

    server.plan = plan
    outcome = fetch(root, {"url": server.url + "/f"})
    assert (outcome["ok"], outcome["code"], len(server.requests)) == (False, "BlobDownloadMiscError", 3)


def test_a_transfer_has_an_end(root: Path, server: Faulty) -> None:
    server.plan = server.stalls
    outcome = fetch(root, {"url": server.url + "/f"}, seconds=0.5)
    assert (outcome["ok"], outcome["code"]) == (False, "BlobDownloadTimedOut")
    assert "all the time" in outcome["message"]
    assert not list((root / WD).iterdir())


def test_a_file_that_changed_in_between_is_fetched_anew(root: Path, server: Faulty) -> None:
    def plan(number: int, request: Any) -> None:
        if number == 1:
            faulty.broken(request, 70_000)
        elif number == 2:
            faulty.rest(request, '"v2"')
        else:
            faulty.whole(request)

    server.plan = plan
    assert fetch(root, {"url": server.url + "/f"})["ok"]
    assert (root / WD / "file").read_bytes() == DATA


@pytest.mark.parametrize(
    ("plan", "code", "requests"),
    [
        (lambda _, r: faulty.answer(r, 404), "BlobNotFound", 1),
        (lambda _, r: faulty.answer(r, 403), "BlobAccessDenied", 1),
        (lambda _, r: faulty.answer(r, 418), "BlobDownloadMiscError", 1),
        (lambda _, r: faulty.answer(r, 500), "BlobDownloadMiscError", 3),
        (lambda _, r: faulty.answer(r, 504), "BlobDownloadTimedOut", 3),
        (
            lambda _, r: faulty.answer(r, 200, DATA[:-1], Content_MD5=faulty.MD5),
            "BlobDownloadMiscError",
            None,
        ),
        (lambda _, r: faulty.answer(r, 302, Location="/again"), "BlobDownloadMiscError", 6),
        (lambda _, r: faulty.answer(r, 302, Location="http://169.254.169.254/x"), "BlobAccessDenied", 1),
    ],
    ids=["404", "403", "418", "500", "504", "digest", "loop", "metadata"],
)
def test_what_servers_do_wrong_is_told(
    root: Path, server: Faulty, plan: Any, code: str, requests: int | None
) -> None:
    server.plan = plan
    outcome = fetch(root, {"url": server.url + "/f?sig=secret"})
    assert (outcome["ok"], outcome["code"]) == (False, code)
    assert requests in (None, len(server.requests))
    assert "secret" not in str(outcome)
    assert not list((root / WD).iterdir())


def test_the_operator_limits_what_is_connected_to(root: Path, server: Faulty) -> None:
    outcome = fetch(root, {"url": server.url + "/f"}, networks=["10.0.0.0/8"])
    assert (outcome["code"], server.requests) == ("BlobAccessDenied", [])
    item = {"from": "container", "url": server.url + "/c?sig=1", "path": ""}
    assert fetch(root, item, networks=["10.0.0.0/8"])["code"] == "ResourceContainerAccessDenied"
    (root / WD / "f").write_text("x")
    sent = {"pattern": "f", "url": "http://169.254.169.254/c?sig=1", "path": "", "headers": []}
    assert deliver(root, sent)["code"] == "FileUploadAccessDenied"
    url = server.url.replace("127.0.0.1", "localhost")
    assert fetch(root, {"url": url + "/f"}, networks=["127.0.0.0/8"])["ok"]


def test_no_link_leads_a_download_out_of_the_task(root: Path, server: Faulty, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / WD).mkdir(parents=True)
    (root / WD / "link").symlink_to(outside)
    (root / WD / "file").symlink_to(outside / "file")
    outcome = fetch(root, {"url": server.url, "path": "link/x"}, fresh=False)
    assert outcome["code"] == "ResourceDirectoryCreateFailed"
    assert fetch(root, {"url": server.url}, fresh=False)["ok"]  # the name is taken over, not followed
    assert not (root / WD / "file").is_symlink()
    assert fetch(root, {"url": server.url, "path": "../x"})["code"] == "ResourceFileCreateFailed"
    (root / "workitems/j").rename(root / "kept")
    (root / "workitems/j").symlink_to(outside)
    assert fetch(root, {"url": server.url})["code"] == "ResourceDirectoryCreateFailed"
    assert not list(outside.iterdir())


def test_outputs_go_up_with_their_names_and_headers(root: Path, storage: Storage) -> None:
    name = storage.container()
    (root / WD / "out/deep").mkdir(parents=True)
    for path, text in (
        ("out/a.log", "a"),
        ("out/deep/b.log", "b"),
        ("out/.hidden.log", "h"),
        ("../stdout.txt", "o"),
    ):
        (root / WD / path).write_text(text)
    (root / WD / "out/link.log").symlink_to("/etc/passwd")
    url = storage.signed(name)
    items: list[dict[str, Any]] = [
        {
            "pattern": "**/*.log",
            "url": url,
            "path": "all",
            "headers": [["content-type", "text/x"], ["x-ms-meta-k", "v"]],
        },
        {"pattern": "$DIR/deep/b.log", "url": url, "path": "one", "headers": []},
        {"pattern": "out/a.log", "url": url, "path": "", "headers": []},
        {"pattern": "../stdout.txt", "url": url, "path": "", "headers": []},
        {"pattern": "none*", "url": url, "path": "x", "headers": []},
    ]
    (root / WD / "out/link.log").unlink()
    assert deliver(root, *items, DIR=f"/mnt/batch/tasks/{WD}/out") == {"ok": True, "files": 5}
    assert storage.blobs(name) == {
        "all/out/a.log": b"a",
        "all/out/deep/b.log": b"b",
        "one": b"b",
        "a.log": b"a",
        "stdout.txt": b"o",
    }
    with storage.client.get_blob_client(name, "all/out/a.log") as blob:
        properties = blob.get_blob_properties()
    assert (properties.content_settings.content_type, properties.metadata) == ("text/x", {"k": "v"})
    assert "out/a.log -> all/out/a.log" in (root / TASK / "fileuploadout.txt").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users take root to make")
def test_an_upload_reads_with_the_rights_of_the_task_only(root: Path, storage: Storage) -> None:
    name = storage.container()
    (root / WD).mkdir(parents=True)
    other = root / "workitems/j/job-1/other"
    other.mkdir(mode=0o700)
    (other / "secret").write_text("s")
    for path in (root / TASK, root / WD):
        os.chown(path, 101_500, 101_500)
    (root / WD / "inside").symlink_to("../../other/secret")
    (root / WD / "outside").symlink_to("/etc/hostname")
    for pattern in ("inside", "outside", "../../other/*"):
        outcome = deliver(root, {"pattern": pattern, "url": storage.signed(name), "path": "x", "headers": []})
        assert storage.blobs(name) == {}, outcome


@pytest.mark.parametrize(
    ("container", "allow", "code"),
    [("none", "rwc", "FileUploadContainerNotFound"), ("some", "r", "FileUploadAccessDenied")],
)
def test_what_storage_refuses_of_uploads_is_told(
    root: Path, storage: Storage, container: str, allow: str, code: str
) -> None:
    name = storage.container() if container == "some" else "no-such-container"
    (root / WD).mkdir(parents=True)
    (root / WD / "f").write_text("")
    outcome = deliver(
        root, {"pattern": "f", "url": storage.signed(name, allow=allow), "path": "", "headers": []}
    )
    assert outcome["code"] == code
    assert "sig=" not in str(outcome)
    assert code in (root / TASK / "fileuploaderr.txt").read_text()


@pytest.mark.parametrize(
    ("status", "listed", "sent"),
    [
        (418, "ResourceContainerListMiscError", "FileUploadMiscError"),
        (504, "ResourceContainerListTimedOut", "FileUploadTimedOut"),
        (409, "ResourceContainerListMiscError", "FileUploadConflict"),
    ],
)
def test_what_storage_cannot_do_is_told_by_its_code(
    root: Path, server: Faulty, status: int, listed: str, sent: str
) -> None:
    server.plan = lambda _, request: faulty.answer(request, status)
    at_once = {**HASTY, "tries": 1}
    url = server.url + "/box?sig=secret"
    outcome = fetch(root, {"from": "container", "url": url}, patience=at_once)
    assert (outcome["code"], "secret" in str(outcome)) == (listed, False)
    (root / WD / "f").write_text("x")
    order = {
        "kind": "deliver",
        "root": str(root),
        "dir": TASK,
        "env": {"AZ_BATCH_NODE_ROOT_DIR": "/mnt/batch/tasks"},
    }
    item = {"pattern": "f", "url": url, "path": "", "headers": []}
    outcome = WORKER.run({**order, "items": [item], "patience": at_once})
    assert (outcome["code"], "secret" in str(outcome)) == (sent, False)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EIO, "ResourceFileWriteFailed"), (errno.ENOSPC, "DiskFull"), (errno.EDQUOT, "DiskFull")],
)
def test_what_a_disk_cannot_do_is_told_by_its_code(number: int, code: str) -> None:
    with pytest.raises(TransferFailed) as failed, disk_errors("ResourceFileWriteFailed", "in/file"):
        raise OSError(number, os.strerror(number))
    assert (failed.value.code, failed.value.details) == (code, (("FilePath", "in/file"),))


def test_a_pattern_that_leads_out_of_the_node_is_refused(root: Path) -> None:
    (root / WD).mkdir(parents=True)
    for pattern in ("/etc/passwd", "../../../../../../etc/passwd", "$HOME/x"):
        outcome = deliver(
            root, {"pattern": pattern, "url": "http://127.0.0.1:1/c?s", "path": ""}, HOME="/root"
        )
        assert outcome["code"] == "FileUploadMiscError"
