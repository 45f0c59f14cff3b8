"""Shell lines that point unmodified clients at a service. Secrets are read from the credentials file, never shown."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit


def environment_lines(endpoint: str, account_endpoint: str, ca_file: str, credentials: Path) -> list[str]:
    """Lines for a POSIX shell.

    `adfs` as the tenant is what lets the identity libraries talk to an authority they do not know without asking the
    public one first. `az` keeps what it learned of a cloud, and whom it is logged in as, in its configuration
    directory: it gets one of its own for each port, so that the user's own cloud is left alone.
    """

    def known(name: str) -> str:
        return f'"$(sed -n \'s/^ *"{name}": "\\(.*\\)".*$/\\1/p\' {quote(str(credentials))})"'

    az_config = credentials.parent / f"az-{urlsplit(endpoint).port or 443}"
    variables = {
        "REQUESTS_CA_BUNDLE": quote(ca_file),
        "SSL_CERT_FILE": quote(ca_file),
        "NODE_EXTRA_CA_CERTS": quote(ca_file),
        "AZURE_AUTHORITY_HOST": endpoint,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": known("client_id"),
        "AZURE_CLIENT_SECRET": known("client_secret"),
        "AZURE_SUBSCRIPTION_ID": known("subscription_id"),
        "AZURE_BATCH_ACCOUNT": known("account_name"),
        "AZURE_BATCH_ENDPOINT": f"https://{account_endpoint}",
        "ARM_ENDPOINT": endpoint,
        "AZURE_CONFIG_DIR": quote(str(az_config)),
        "ARM_CLOUD_METADATA_URL": f"{endpoint}/metadata/endpoints?api-version=2019-05-01",
    }
    lines = [f"export {name}={value}" for name, value in variables.items()]
    return [
        *lines,
        "# For programs that sign with the account's key. az would sign with it too, and custom images need a token:",
        f"# export AZURE_BATCH_ACCESS_KEY={known('account_key')}",
        "# az knows this service by ARM_CLOUD_METADATA_URL; log in once:",
        '# az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant adfs',
    ]
