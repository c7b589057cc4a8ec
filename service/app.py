"""create_app: assembles the front end from its settings, and decides nothing."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from contract.errors import QueueUnavailable
from contract.version import software_version
from jobs.connection import connect
from jobs.keys import ApiKeys, Scope
from jobs.overview import Overview
from jobs.queue import JobQueue
from jobs.reaper import Reaper
from jobs.results.bucket import Bucket
from jobs.results.store import ResultStore
from jobs.settings import Settings, is_bucket
from jobs.upkeep import Upkeep
from jobs.webhooks.sender import Sender
from model_store.bucket import BucketShelf
from model_store.catalogue import SHIPPED, Catalogue
from service import openapi
from service.dependencies import KNOWN_CALLER, MAX_CONVERSIONS, MAX_LISTENERS, MAX_WAITERS, THREADS, Services, needs
from service.endpoints import docs_page, health, jobs, models, page, results, submit
from service.http import errors
from service.http.descriptors import MAX_TRANSFERS
from service.http.edge import Edge
from service.http.origins import CORS_ASKED, CORS_METHODS, CORS_SHOWN, OriginRule
from service.http.prefix import Prefix
from service.http.trailing_slash import TrailingSlash
from service.key_rule import KeyRule
from service.metrics import Metrics
from service.registry import Registry


def create_app(settings: Settings, page_folder: Path = page.BUILT, transfers: int = MAX_TRANSFERS) -> FastAPI:
    """The front end. It connects to the queue when the first request needs it. Raises: StoreUnavailable, ValueError.

    `page_folder`: where the built page lies, if it does. `transfers`: files that may be under way at once.
    """
    services = make_services(settings, transfers)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS + MAX_WAITERS
        upkeep = Upkeep(services.queue.redis, settings, services.results)
        reaper = Reaper(upkeep, lambda: services.registry.heed(services.overview.workers()))
        sender = Sender(services.queue.redis, settings)
        reaper.start()
        sender.start()
        with suppress(QueueUnavailable):  # known by now, it stays known when the queue goes away later
            await anyio.to_thread.run_sync(services.key_rule.holds)
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(reaper.stop)
            await anyio.to_thread.run_sync(sender.stop)
            await anyio.to_thread.run_sync(services.queue.relay.close)
            services.queue.redis.close()

    app = FastAPI(
        title="Voxelsmith",
        version=software_version(),
        generate_unique_id_function=lambda route: route.name,
        description="Makes 3D medical images with trained GANs: from seeds, from scans, along latent directions.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    _guard(app, services)
    errors.install(app)
    for room in (submit, jobs, results):
        app.include_router(room.router, dependencies=[needs(Scope.JOBS)])
    app.include_router(models.router, dependencies=[KNOWN_CALLER])
    for router in (health.router, page.make_router(page_folder), docs_page.router):
        app.include_router(router)
    return app


def _guard(app: FastAPI, services: Services) -> None:
    """The layers around the app; the last one added is the outermost."""
    settings = services.settings
    app.add_middleware(TrailingSlash)
    origins = settings.allowed_origins
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins),
            allow_methods=CORS_METHODS,
            allow_headers=CORS_ASKED,
            expose_headers=CORS_SHOWN,
        )
    rule = OriginRule(settings.allowed_host_names, origins, services.key_rule.holds)
    app.add_middleware(Edge, metrics=services.metrics, rule=rule)
    if settings.root_path:
        app.servers = [{"url": settings.root_path}]
        app.add_middleware(Prefix, prefix=settings.root_path)


def make_services(settings: Settings, transfers: int = MAX_TRANSFERS) -> Services:
    """Raises: StoreUnavailable."""
    store, redis = ResultStore(settings.store_url, settings.store_public_endpoint), connect(settings)
    keys = ApiKeys(redis, settings)
    return Services(
        settings=settings,
        queue=JobQueue(redis, settings, store),
        overview=Overview(redis, settings),
        keys=keys,
        key_rule=KeyRule(keys, settings.host),
        results=store,
        registry=Registry(Catalogue(_shelves(settings)), store),
        metrics=Metrics(),
        listeners=threading.BoundedSemaphore(MAX_LISTENERS),
        waiters=threading.BoundedSemaphore(MAX_WAITERS),
        conversions=threading.BoundedSemaphore(MAX_CONVERSIONS),
        transfers=threading.BoundedSemaphore(transfers),
        leaving=threading.Event(),
    )


def _shelves(settings: Settings) -> list[Path | BucketShelf]:
    """Where models are. Of those in a bucket the front end reads cards and directions alone."""
    if is_bucket(settings.models_url):
        return [BucketShelf(Bucket(settings.models_url)), SHIPPED]
    return [path for path in (settings.models_path, SHIPPED) if path is not None]
