"""create_app: assembles the front end from its settings, and decides nothing."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from fastapi import FastAPI

from jobs.connection import connect
from jobs.queue import JobQueue
from jobs.reaper import Reaper
from jobs.results import ResultStore
from jobs.settings import Settings
from model_store.catalogue import SHIPPED, Catalogue
from service import errors, health, jobs, models, openapi, page, results, submit
from service.dependencies import MAX_LISTENERS, Services
from service.edge import Edge
from service.metrics import Metrics
from service.registry import Registry

THREADS = 64
"""Beside the listeners, each of which holds one."""


def create_app(settings: Settings) -> FastAPI:
    """The front end. It connects to the queue when the first request needs it. Raises: StoreUnavailable."""
    services = make_services(settings)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS + MAX_LISTENERS
        reaper = Reaper(services.queue, lambda: services.registry.heed(services.queue.workers()))
        reaper.start()
        try:
            yield
        finally:
            await anyio.to_thread.run_sync(reaper.stop)
            services.queue.redis.close()

    app = FastAPI(
        title="Voxelsmith",
        version="0.1.0",
        description="Makes 3D medical images with trained GANs: from seeds, from scans, along latent directions.",
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
    )
    app.state.services = services
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    app.add_middleware(Edge, metrics=services.metrics)
    errors.install(app)
    for room in (submit, jobs, results, models, health, page):
        app.include_router(room.router)
    return app


def make_services(settings: Settings) -> Services:
    """Raises: StoreUnavailable."""
    store = ResultStore(settings.store_url)
    folders = [path for path in (settings.models_path, SHIPPED) if path is not None]
    return Services(
        settings=settings,
        queue=JobQueue(connect(settings), settings, store),
        results=store,
        registry=Registry(Catalogue(folders), store),
        metrics=Metrics(),
        listeners=threading.BoundedSemaphore(MAX_LISTENERS),
    )
