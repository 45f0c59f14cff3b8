"""Shell lines that point unmodified clients at a service."""

from __future__ import annotations

from shlex import quote

from poolwright.cli.places import Credentials


def environment_lines(known: Credentials) -> list[str]:
    """Lines for a POSIX shell. Secrets are in them: for the terminal of the user who owns the data directory.

    `adfs` as the tenant is what lets the identity libraries talk to an authority they do not know without asking the
    public one first.
    """
    variables = {
        "REQUESTS_CA_BUNDLE": known.ca_file,
        "SSL_CERT_FILE": known.ca_file,
        "NODE_EXTRA_CA_CERTS": known.ca_file,
        "AZURE_AUTHORITY_HOST": known.endpoint,
        "AZURE_TENANT_ID": "adfs",
        "AZURE_CLIENT_ID": known.client_id,
        "AZURE_CLIENT_SECRET": known.client_secret,
        "AZURE_SUBSCRIPTION_ID": known.subscription_id,
        "AZURE_BATCH_ACCOUNT": known.account_name,
        "AZURE_BATCH_ENDPOINT": f"https://{known.account_endpoint}",
        "AZURE_BATCH_ACCESS_KEY": known.account_key,
        "ARM_ENDPOINT": known.endpoint,
    }
    lines = [f"export {name}={quote(value)}" for name, value in variables.items()]
    lines += [
        "# az, once:",
        f"#   az cloud register -n poolwright --endpoint-resource-manager {quote(known.endpoint)}",
        "#   az cloud set -n poolwright && az config set core.instance_discovery=false",
        f'#   az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant {known.tenant_id}',
    ]
    return lines
