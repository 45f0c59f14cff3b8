"""The official clients, pointed at a Poolwright service by nothing but its ready file."""

from __future__ import annotations

import os
from dataclasses import dataclass

from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.identity import ClientSecretCredential
from azure.mgmt.batch import BatchManagementClient
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resource.subscriptions import SubscriptionClient

from demo.service import Ready


@dataclass(frozen=True, slots=True)
class Clients:
    """One client a surface. `batch` speaks with a token, `batch_by_key` with the account's shared key."""

    subscriptions: SubscriptionClient
    resources: ResourceManagementClient
    compute: ComputeManagementClient
    accounts: BatchManagementClient
    credential: ClientSecretCredential

    def close(self) -> None:
        """Close the connections of the management clients and of the credential."""
        for client in (self.subscriptions, self.resources, self.compute, self.accounts, self.credential):
            client.close()

    def batch(self, account_endpoint: str) -> BatchClient:
        return BatchClient(endpoint=f"https://{account_endpoint}", credential=self.credential)

    def batch_by_key(self, account_endpoint: str, account: str, key: str) -> BatchClient:
        return BatchClient(
            endpoint=f"https://{account_endpoint}", credential=AzureNamedKeyCredential(account, key)
        )


def trust(ready: Ready) -> None:
    """Set the two variables that make Python clients trust the service's certificate authority, and no other."""
    os.environ["REQUESTS_CA_BUNDLE"] = ready.ca_file
    os.environ["SSL_CERT_FILE"] = ready.ca_file


def connect(ready: Ready) -> Clients:
    """Clients for a service, which they trust."""
    trust(ready)
    credential = ClientSecretCredential(
        tenant_id=ready.tenant_id,
        client_id=ready.client_id,
        client_secret=ready.client_secret,
        authority=ready.endpoint,
        disable_instance_discovery=True,
    )
    scopes = [f"{ready.endpoint}/.default"]
    at = {"base_url": ready.endpoint, "credential_scopes": scopes}
    return Clients(
        subscriptions=SubscriptionClient(credential, **at),
        resources=ResourceManagementClient(credential, ready.subscription_id, **at),
        compute=ComputeManagementClient(credential, ready.subscription_id, **at),
        accounts=BatchManagementClient(credential, ready.subscription_id, **at),
        credential=credential,
    )
