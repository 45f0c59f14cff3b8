"""The lines for a shell, read by a real one."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from poolwright.serve.credentials import Known, write_whole
from poolwright.serve.environment import environment_lines

KNOWN = Known(
    endpoint="https://localhost:8443",
    ca_file="/a place/ca.pem",
    tenant_id="tenant",
    subscription_id="subscription",
    client_id="client",
    client_secret="s3cret/+=_-",
    account_name="account",
    account_endpoint="localhost:8443/account",
    account_key="k3y/+==",
    pid=1,
)
EXPECTED = {
    "REQUESTS_CA_BUNDLE": KNOWN.ca_file,
    "SSL_CERT_FILE": KNOWN.ca_file,
    "NODE_EXTRA_CA_CERTS": KNOWN.ca_file,
    "AZURE_AUTHORITY_HOST": KNOWN.endpoint,
    "AZURE_TENANT_ID": "adfs",
    "AZURE_CLIENT_ID": KNOWN.client_id,
    "AZURE_CLIENT_SECRET": KNOWN.client_secret,
    "AZURE_SUBSCRIPTION_ID": KNOWN.subscription_id,
    "AZURE_BATCH_ACCOUNT": KNOWN.account_name,
    "AZURE_BATCH_ENDPOINT": "https://localhost:8443/account",
}


def lines(folder: Path) -> str:
    """The lines for a service whose credentials file is in `folder`, which has a blank in its name."""
    path = folder / "it's here" / "credentials.json"
    write_whole(path, KNOWN)
    return "\n".join(environment_lines(KNOWN.endpoint, KNOWN.account_endpoint, KNOWN.ca_file, path))


def test_a_shell_that_evaluates_them_knows_everything(tmp_path: Path) -> None:
    expected = {**EXPECTED, "AZURE_CONFIG_DIR": str(tmp_path / "it's here" / "az-8443")}
    script = f'eval "$1"; for name in {" ".join(expected)}; do eval "echo \\"\\$$name\\""; done'
    done = subprocess.run(
        ["/bin/sh", "-euc", script, "sh", lines(tmp_path)],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(expected, done.stdout.splitlines(), strict=True)) == expected


def test_the_key_is_offered_as_a_comment(tmp_path: Path) -> None:
    """With the key in the environment az signs with it, and custom images need a token."""
    [line] = [line for line in lines(tmp_path).splitlines() if "AZURE_BATCH_ACCESS_KEY" in line]
    script = f'{line.removeprefix("# ")}; printf %s "$AZURE_BATCH_ACCESS_KEY"'
    done = subprocess.run(["/bin/sh", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == KNOWN.account_key


def test_they_hold_no_secret(tmp_path: Path) -> None:
    text = lines(tmp_path)
    assert KNOWN.client_secret not in text
    assert KNOWN.account_key not in text
    assert "SECRET" in text, shlex.quote(text)
