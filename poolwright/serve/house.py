"""The house put together from its rooms, and the order in which it is started and shut."""

from __future__ import annotations

import logging
import os
import random
import secrets
from dataclasses import replace
from pathlib import Path

from starlette.types import ASGIApp

from poolwright.agent.layout import SERVICE_NAME
from poolwright.api import arm
from poolwright.api.batch.app import BatchApp
from poolwright.api.batch.feed import Feed
from poolwright.api.batch.services import BatchServices
from poolwright.api.blobs import BlobServices, blob_routes
from poolwright.api.blobs.blocks import package_routes
from poolwright.api.front import front
from poolwright.api.identity import (
    TlsFiles,
    ensure_tls,
    identity_routes,
)
from poolwright.api.known import Accounts, KnownCallers
from poolwright.commands.first_start import Identity
from poolwright.commands.schedules import JobFactory
from poolwright.domain.account import Account
from poolwright.engines.base import Engine
from poolwright.engines.beside import BesideListener
from poolwright.engines.hub import AgentHub
from poolwright.engines.sandbox.driver import Exposure, SandboxEngine
from poolwright.engines.sandbox.launcher import HostAgentProcess
from poolwright.images.raw import RawImagePlane
from poolwright.reconcile.agents import Agents
from poolwright.reconcile.controller import Reconciler
from poolwright.reconcile.dispatch import Handler
from poolwright.reconcile.explanations import Explanations
from poolwright.reconcile.files import TaskFiles
from poolwright.reconcile.fleet import Fleet
from poolwright.reconcile.kept_files import FileKeeper
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.pool_images import PoolImages
from poolwright.reconcile.resources import ResourceReconciler
from poolwright.reconcile.transfers import Transfers
from poolwright.serve import first_start
from poolwright.serve.adapters import (
    Explainer,
    HostCommander,
    HostFiles,
    HostTaskFiles,
    ResourceHandlers,
    new_keys,
    supported_images,
)
from poolwright.serve.callers import Callers, open_callers
from poolwright.serve.container_images import ContainerImages
from poolwright.serve.credentials import Known, agents_token
from poolwright.serve.disk_bytes import PlaneBytes
from poolwright.serve.doors import LoginDoors
from poolwright.serve.event_settings import read_event_settings
from poolwright.serve.file_archive import KeptFiles, open_archive
from poolwright.serve.kits import BroughtLoginServer
from poolwright.serve.listening import front_address
from poolwright.serve.meter import Meter
from poolwright.serve.metrics import Present, metrics_route, present
from poolwright.serve.node_logs import NodeLogUploads
from poolwright.serve.options import Options
from poolwright.serve.packages import StoredPackages
from poolwright.serve.rooms import Rooms
from poolwright.serve.simulation import SYSTEMS, Simulation
from poolwright.serve.storage import storage_of
from poolwright.serve.system import SystemClock, SystemIds
from poolwright.serve.transfers import HubCarrier, trusted_file
from poolwright.serve.webhooks import Webhooks
from poolwright.store.sqlite import SqliteStore, Tuning

_log = logging.getLogger(__name__)


class House:
    """One service. `open` then `app`; `close` in any case."""

    def __init__(self, options: Options) -> None:
        self.event_settings = read_event_settings(options.event_settings)
        settings = replace(
            options.settings,
            auto_storage=options.auto_storage is not None,
            events_kept=self.event_settings.keep,
            events_age=self.event_settings.age,
        )
        self.options = replace(options, settings=settings)
        self.settings = settings
        self.clock = SystemClock()
        self.ids = SystemIds()
        self.store = SqliteStore(options.data_dir, Tuning(task_facts=self.event_settings.task_events))
        self.images = RawImagePlane(
            options.data_dir / "images",
            base_cache=options.base_cache,
            classes={known.type: Path(known.directory) for known in settings.storage_classes},
        )
        self.pool_images = PoolImages(self.images, self.clock, SYSTEMS if options.simulate else frozenset())
        self.disk_bytes = PlaneBytes(self.images)
        self.doors = LoginDoors(self.store, options.host)
        cache = options.base_cache or options.data_dir / "images" / "bases"
        self.login_server = BroughtLoginServer(options.data_dir, cache)
        self.meter = Meter()
        self.containers = ContainerImages(options, cache, self.clock, self.meter.pull)
        self.packages = StoredPackages(options.data_dir / "packages", self.store, self.clock)
        self.feed = Feed(self.store)
        self.store.on_commit = self.meter.commit
        self.webhooks = Webhooks(
            self.store,
            self.feed,
            self.clock,
            random.Random(secrets.randbits(64)),
            self.event_settings.webhooks,
        )
        self._carrier: HubCarrier | None = None
        self._transfers: Transfers | None = None
        self._log_uploads: NodeLogUploads | None = None
        self.rooms = Rooms(options, settings)
        self.storage, self.blobs = storage_of(
            options, self.store, self.clock, self.ids, self.packages, self.rooms.data.refusal
        )
        self.settings = replace(
            settings,
            storage_classes=tuple(
                replace(known, nodes=str(self.images.node_place(known.type)))
                for known in settings.storage_classes
            ),
        )
        self.archive = open_archive(options.data_dir, options.file_archive_mib)
        self._reconciler: Reconciler | None = None
        self._resources: ResourceReconciler | None = None
        self._hub: AgentHub | None = None
        self._agent: HostAgentProcess | None = None
        self._simulation: Simulation | None = None

    async def open(self, port: int) -> tuple[ASGIApp, TlsFiles, Known]:
        """Start everything behind the port. Returns the application, its certificates and what clients must know."""
        data_dir = self.options.data_dir
        self.settings = replace(self.settings, service_port=port)
        endpoint = f"https://localhost:{port}"
        tls = ensure_tls(data_dir, self.clock, [SERVICE_NAME])
        identity, account, secret = await first_start.ensure(
            self.store, self.clock, self.ids, self.settings, data_dir
        )
        callers = await open_callers(self.store, data_dir, identity, tls, port, self.clock)
        self.packages.open()
        trusted = trusted_file()
        await self.storage.open(endpoint, self.settings, trusted)
        recovery = self.images.recover()
        if not recovery.clean:
            _log.info("image plane: removed what an earlier end left half made: %s", recovery)
        kit = self._kit(callers, port)
        reconciler = self._reconciler = Reconciler(self.store, kit)
        listener = BesideListener(reconciler.agents)
        hub = self._hub = AgentHub(str(data_dir / "run" / "agents.sock"), agents_token(data_dir), listener)
        carrier = self._carrier = HubCarrier(hub, port, tls.ca_file.read_text(), trusted)
        logs = self._log_uploads = NodeLogUploads(
            self.store, hub, carrier, self.clock, self.ids, self.options.transfer_networks
        )
        front, opened = front_address(self.options.host), self.options.open_to_nodes
        exposure = Exposure(front, port, opened, tls.ca_file.read_text())
        engine = SandboxEngine(hub, self.login_server, exposure)
        self._resources = ResourceReconciler(
            self.store, self.images, engine, HostCommander(engine), self.clock, self.ids
        )
        handlers = ResourceHandlers(self._resources, self.clock, callers.known.refresh)
        self._connect(handlers, *await self._engines(engine, hub, listener, kit, reconciler.agents))
        await hub.start()
        self._agent = HostAgentProcess(data_dir, self.options.grace_s)
        self._agent.start()
        reconciler.start()
        self.rooms.watch(self.store)
        self.webhooks.start()
        await logs.open()
        app = self._application(callers, identity, hub, kit, endpoint, port)
        return app, tls, self._known(callers, identity, tls, account, secret, port)

    def _connect(self, resources: ResourceHandlers, engine: Engine, fleet: Transfers) -> None:
        assert self._reconciler is not None
        assert self._hub is not None
        files = HostTaskFiles(self._hub)
        task_files, keeper = TaskFiles(self.store, files, self.clock), None
        look: Handler = task_files.one
        keys = [resources.keys, task_files.keys, self.packages.keys, self.blobs.keys, self.containers.keys]
        if self.archive is not None:
            keeper = FileKeeper(self.store, files, self.archive, self.clock, self.rooms.data.refusal)
            look = keeper.beside(look)
            keys.append(keeper.keys)
        self._reconciler.connect(
            engine,
            fleet,
            {
                "resource": resources.one,
                "resources": resources.all,
                "files": look,
                "packages": self.packages.collect,
                "blobs": self.blobs.collect,
                "containers": self.containers.collect,
            },
            lambda tx: [key for list_keys in keys for key in list_keys(tx)],
            JobFactory(self.clock, self.ids, self.options.settings),
            keeper,
        )

    async def close(self) -> None:
        """Shut in order: no new work, loops, agents, image plane, store. Machines and their tasks go on."""
        self.feed.close()
        await self.webhooks.close()
        await self.doors.close()
        self.rooms.close()
        await self.login_server.close()
        await self.containers.close()
        if self._reconciler is not None:
            await self._reconciler.stop()
        if self._simulation is not None:
            self._simulation.close()
        if self._transfers is not None:
            await self._transfers.close()
        if self._log_uploads is not None:
            await self._log_uploads.close()
        if self._resources is not None:
            await self._resources.close()
        if self._agent is not None:
            await self._agent.close()
        if self._hub is not None:
            await self._hub.close()
        if self.archive is not None:
            self.archive.close()
        self.pool_images.close()
        self.disk_bytes.close()
        self.packages.close()
        self.blobs.close()
        self.images.close()
        await self.store.close()

    def _known(
        self,
        callers: Callers,
        identity: Identity,
        tls: TlsFiles,
        account: Account | None,
        secret: str,
        port: int,
    ) -> Known:
        name = account.name if account is not None else ""
        return Known(
            endpoint=f"https://localhost:{port}",
            ca_file=str(tls.ca_file),
            tenant_id=identity.tenant_id,
            subscription_id=identity.subscription_id,
            client_id=identity.client_id,
            client_secret=secret,
            account_name=name,
            account_endpoint=self._account_endpoint(callers.known, name, f"localhost:{port}"),
            account_key=account.primary_key if account is not None else "",
            pid=os.getpid(),
        )

    def _kit(self, callers: Callers, port: int) -> Kit:
        kit = Kit(
            clock=self.clock,
            ids=self.ids,
            rng=random.Random(secrets.randbits(64)),
            images=self.pool_images,
            settings=self.settings,
            room=lambda: self.rooms.data.now,
            class_rooms=self.rooms.by_type,
            account_url=lambda name: (
                f"https://{self._account_endpoint(callers.known, name, f'{SERVICE_NAME}:{port}')}"
            ),
        )
        kit.served = self.meter.served
        kit.task_token = lambda name, job, run: callers.issuer.issue_for_task(name, job, run).value
        return kit

    async def _engines(
        self, real: Engine, hub: AgentHub, listener: BesideListener, kit: Kit, agents: Agents
    ) -> tuple[Engine, Transfers]:
        """Where the loops get machines, and through whom they tell agents."""
        if not self.options.simulate:
            return real, self._move_files(hub, agents)
        self._simulation = Simulation(self.clock, kit.rng, agents)
        kit.capabilities = await self._simulation.open(self.store)
        _log.info("nodes of images that nothing here can run are simulated")
        engine, fleet = self._simulation.beside(real, hub, listener)
        return engine, self._move_files(fleet, agents)

    def _application(
        self, callers: Callers, identity: Identity, hub: AgentHub, kit: Kit, endpoint: str, port: int
    ) -> ASGIApp:
        settings = self.settings
        management = arm.ArmServices(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            settings=settings,
            authenticator=callers.to_management,
            endpoint=arm.EndpointInfo(
                subscription_id=identity.subscription_id,
                tenant_id=identity.tenant_id,
                authority=f"localhost:{port}",
                account_endpoint=lambda name, authority: self._account_endpoint(
                    callers.known, name, authority
                ),
            ),
            catalogue=self.images.catalogue,
            new_keys=new_keys,
            meter=self.meter.management,
            packages=self.packages,
            storage=self.storage,
            intake=self.rooms.refusal,
            class_intake=self.rooms.refusal_of,
        )
        data = BatchServices(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            settings=settings,
            accounts=Accounts(callers.known),
            authenticate=callers.to_data,
            files=HostFiles(hub),
            kept_files=KeptFiles(self.archive.archive) if self.archive is not None else None,
            explain=Explainer(self.store, Explanations(kit, self._doing)),
            images=supported_images(self.images.catalogue, settings.support_ends),
            doors=self.doors,
            catalogue=self.images.catalogue,
            node_logs=self._log_uploads,
            intake=self.rooms.data.refusal,
            class_intake=self.rooms.refusal_of,
            feed=self.feed,
            meter=self.meter.data,
            endpoint=endpoint,
        )
        blobs = BlobServices(self.store, self.clock, self.disk_bytes, self.rooms.refusal)
        metrics = metrics_route(self.store, self.meter, self._present, callers.to_data)
        return front(
            [
                metrics,
                *identity_routes(callers.issuer),
                *blob_routes(blobs),
                *package_routes(blobs, self.packages),
            ],
            arm.routes(management),
            self.storage.app(self.rooms.data.refusal, BatchApp(data)),
            [callers.known.refresh, self.storage.refresh],
        )

    def _present(self) -> Present:
        transfers, loop = self._transfers, self._reconciler
        dirty, moving = (loop.waiting if loop else 0), (transfers.under_way if transfers else 0)
        waiting, images = self.store.waiting_writes, self.containers.sizes
        return present(waiting, dirty, moving, images, self.feed, self.webhooks.states)

    def _move_files(self, fleet: Fleet, agents: Agents) -> Transfers:
        assert self._carrier is not None
        made = Transfers(
            self.store,
            fleet,
            self._carrier,
            self.clock,
            self.storage,
            self.packages,
            self.options.transfer_networks,
            self.containers.host,
        )
        made.connect(agents.on_events)
        self._transfers = made
        return made

    def _doing(self, execution: str) -> tuple[str, int] | None:
        return None if self._transfers is None else self._transfers.doing(execution)

    @staticmethod
    def _account_endpoint(known: KnownCallers, name: str, authority: str) -> str:
        """The default account is at the root; every other has its name as path prefix, which needs no DNS."""
        if name.lower() == (known.default_account() or "").lower():
            return authority
        return f"{authority}/{name}"
