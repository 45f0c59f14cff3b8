"""Resource files and output files that are refused; rows as in bad_bodies.py."""

from __future__ import annotations

from typing import Any

URL = "http://127.0.0.1/c/x?sig=1"


def resource(**given: Any) -> dict[str, Any]:
    return {"resourceFiles": [given]}


def output(pattern: str = "*", when: str = "taskcompletion", **container: Any) -> dict[str, Any]:
    destination = {"container": {"containerUrl": URL, **container}}
    one = {"filePattern": pattern, "destination": destination, "uploadOptions": {"uploadCondition": when}}
    return {"outputFiles": [one]}


_IN, _OUT = "resourceFiles[0]", "outputFiles[0]"
_CONTAINER = _OUT + ".destination.container"

FILES = [
    (resource(filePath="x"), "InvalidPropertyValue", _IN),
    (resource(httpUrl=URL, storageContainerUrl=URL, filePath="x"), "InvalidPropertyValue", _IN),
    (resource(httpUrl=URL), "InvalidPropertyValue", _IN + ".filePath"),
    (resource(httpUrl=URL, filePath="../x"), "InvalidPropertyValue", _IN + ".filePath"),
    (resource(httpUrl=URL, filePath="/x"), "InvalidPropertyValue", _IN + ".filePath"),
    (resource(httpUrl=URL, filePath="x", blobPrefix="p"), "InvalidPropertyValue", _IN + ".blobPrefix"),
    (resource(httpUrl=URL, filePath="x", fileMode="0999"), "InvalidPropertyValue", _IN + ".fileMode"),
    (resource(httpUrl=URL, filePath="x", fileMode="4755"), "InvalidPropertyValue", _IN + ".fileMode"),
    (resource(httpUrl="file:///etc/passwd", filePath="x"), "InvalidPropertyValue", _IN + ".httpUrl"),
    (resource(httpUrl="http://", filePath="x"), "InvalidPropertyValue", _IN + ".httpUrl"),
    (resource(storageContainerUrl="http://h/?s"), "InvalidPropertyValue", _IN + ".storageContainerUrl"),
    (resource(autoStorageContainerName="A"), "InvalidPropertyValue", _IN + ".autoStorageContainerName"),
    (
        resource(autoStorageContainerName="unlinked"),
        "InvalidPropertyValue",
        _IN + ".autoStorageContainerName",
    ),
    (
        resource(httpUrl=URL, filePath="x", identityReference={"resourceId": "/i"}),
        "UnsupportedProperty",
        _IN + ".identityReference",
    ),
    (
        {"resourceFiles": [{"httpUrl": URL, "filePath": str(n)} for n in range(1001)]},
        "RequestEntityTooLarge",
        "resourceFiles",
    ),
    ({"outputFiles": [{"filePattern": "*"}]}, "MissingRequiredProperty", _OUT + ".destination"),
    (output(""), "InvalidPropertyValue", _OUT + ".filePattern"),
    (output(when="sometimes"), "InvalidPropertyValue", _OUT + ".uploadOptions.uploadCondition"),
    (output(containerUrl="ftp://x/c"), "InvalidPropertyValue", _CONTAINER + ".containerUrl"),
    (output(containerUrl="http://x/"), "InvalidPropertyValue", _CONTAINER + ".containerUrl"),
    (
        output(identityReference={"resourceId": "/i"}),
        "UnsupportedProperty",
        _CONTAINER + ".identityReference",
    ),
    (output(uploadHeaders=[{"name": "host"}]), "InvalidPropertyValue", _CONTAINER + ".uploadHeaders[0].name"),
    (
        output(uploadHeaders=[{"name": "content-type", "value": "a\r\nb"}]),
        "InvalidPropertyValue",
        _CONTAINER + ".uploadHeaders[0].value",
    ),
]
JOBS = [
    (
        {"jobPreparationTask": {"commandLine": "x", "resourceFiles": [{"httpUrl": "http://x"}]}},
        "InvalidPropertyValue",
        "jobPreparationTask.resourceFiles[0].filePath",
    ),
    (
        {
            "jobPreparationTask": {"commandLine": "x"},
            "jobReleaseTask": {
                "commandLine": "x",
                "resourceFiles": [{"autoStorageContainerName": "unlinked"}],
            },
        },
        "InvalidPropertyValue",
        "jobReleaseTask.resourceFiles[0].autoStorageContainerName",
    ),
    (
        {"jobManagerTask": {"id": "m", "commandLine": "x", **output("")}},
        "InvalidPropertyValue",
        "jobManagerTask.outputFiles[0].filePattern",
    ),
]
START_TASKS = [
    (
        {"startTask": {"commandLine": "x", "resourceFiles": [{"httpUrl": "http://x"}]}},
        "InvalidPropertyValue",
        "startTask.resourceFiles[0].filePath",
    ),
    (
        {"startTask": {"commandLine": "x", "resourceFiles": [{"autoStorageContainerName": "unlinked"}]}},
        "InvalidPropertyValue",
        "startTask.resourceFiles[0].autoStorageContainerName",
    ),
]
