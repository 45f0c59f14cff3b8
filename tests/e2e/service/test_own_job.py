"""A task that works on its own job: the official client in a node, with the variables the task was given, no others."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.rest import HttpRequest

from tests.e2e.service.live import Live
from tests.e2e.service.test_multi_instance import MPI, open_mpi
from tests.e2e.service.test_storage import mount
from tools import older_sdk

SDK = "/mnt/batch/tasks/fsmounts/sdk"
OLDER = "2024-02-01.19.0"  # later api-versions have no tokens for tasks
TOKEN = {"access": ["job"]}
PROGRAM = """
import os
from azure.batch import BatchServiceClient, models
from msrest.authentication import BasicTokenAuthentication

given = BasicTokenAuthentication(dict(access_token=os.environ["AZ_BATCH_AUTHENTICATION_TOKEN"]))
client = BatchServiceClient(given, os.environ["AZ_BATCH_ACCOUNT_URL"])
job = os.environ["AZ_BATCH_JOB_ID"]
for number in range(3):
    client.task.add(job, models.TaskAddParameter(id=f"made-{number}", command_line="/bin/true"))
listed = client.task.list(job, models.TaskListOptions(max_results=1))
print("listed", *sorted(task.id for task in listed))
try:
    client.pool.delete(os.environ["AZ_BATCH_POOL_ID"])
except models.BatchErrorException as error:
    print("refused", error.response.status_code)
print("trusts", os.environ["SSL_CERT_FILE"])
"""


def post(live: Live, where: str, body: dict[str, Any]) -> None:
    """A request of the older api-version, which the client of today cannot say."""
    request = HttpRequest("POST", f"{live.ready.endpoint}/{where}?api-version={OLDER}", json=body)
    request.headers["Content-Type"] = "application/json; odata=minimalmetadata"
    with live.by_token() as client:
        answer = client.send_request(request)
    assert answer.status_code == 201, answer.text()


def test_a_job_manager_makes_the_tasks_of_its_job(live: Live) -> None:
    try:
        sdk = older_sdk.ensure()
    except older_sdk.Unavailable as reason:
        pytest.skip(str(reason))
    live.start_again("--export", f"mpi={open_mpi()}", "--export", f"sdk={sdk}:ro")
    mounts = [mount("poolwright:mpi", "mpi"), mount("poolwright:sdk", "sdk")]
    live.idle_pool(dedicated=1, slots=2, mount_configuration=mounts)
    quoted = PROGRAM.replace('"', '\\"')
    manager = {
        "id": "manager",
        "commandLine": f'{MPI}/python3 -c "{quoted}"',
        "killJobOnCompletion": False,
        "environmentSettings": [
            {"name": "PYTHONPATH", "value": SDK},
            {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
        ],
        "authenticationTokenSettings": TOKEN,
    }
    post(live, "jobs", {"id": "job", "poolInfo": {"poolId": "pool"}, "jobManagerTask": manager})
    done = live.wait_task("manager", "completed", deadline_s=120)
    said = f"{done}\n{live.output('manager')}\n{live.output('manager', name='stderr.txt')}"
    assert done["executionInfo"]["exitCode"] == 0, said
    lines = live.output("manager").splitlines()
    made = [f"made-{number}" for number in range(3)]
    assert f"listed {' '.join([*made, 'manager'])}" in lines, said
    assert "refused 403" in lines, said
    assert "trusts /mnt/batch/tasks/.trust.pem" in lines, said
    for name in made:
        live.wait_task(name, "completed")


@pytest.mark.one_service
def test_only_who_has_a_token_is_told_whom_to_trust(live: Live) -> None:
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task("plain", "env")
    look = "env; tail -n 3 $REQUESTS_CA_BUNDLE; grep service /etc/hosts"
    own = {
        "id": "own",
        "commandLine": f"/bin/sh -c '{look}'",
        "environmentSettings": [{"name": "SSL_CERT_FILE", "value": "/own.pem"}],
        "authenticationTokenSettings": TOKEN,
    }
    post(live, "jobs/job/tasks", own)
    live.wait_completed(2)
    assert "SSL_CERT_FILE" not in live.output("plain")
    assert "POOLWRIGHT_CA_FILE=/mnt/batch/tasks/.authority.pem\n" in live.output("plain")
    said = live.output("own")
    assert "SSL_CERT_FILE=/own.pem\n" in said
    assert "-----END CERTIFICATE-----" in said
    assert "service.poolwright.internal" in said
