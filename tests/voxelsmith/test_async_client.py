"""AsyncClient beside Client: the same methods, against the whole service; neither needs the other's event loop."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from tests.support.odd_server import answering
from voxelsmith import AsyncClient, AsyncJob, Client, Job, problems
from voxelsmith.client import Calls
from voxelsmith.local import Stack

ONLY_BLOCKING = {"dataset"}
"""It writes, hashes and measures files between its calls."""


def public(cls: type) -> dict[str, Any]:
    return {name: getattr(cls, name) for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize(("own", "awaited"), [(Client, AsyncClient), (Job, AsyncJob)])
def test_both_have_the_same_methods_with_the_same_parameters_and_words(own: type, awaited: type) -> None:
    assert set(public(own)) - ONLY_BLOCKING == set(public(awaited))
    for name, other in public(awaited).items():
        method = public(own)[name]
        assert callable(method) == callable(other), name
        if callable(method):
            assert [str(p) for p in inspect.signature(method).parameters.values()] == [
                str(p) for p in inspect.signature(other).parameters.values()
            ], name
            assert inspect.getdoc(method) == inspect.getdoc(other), name


def test_both_clients_are_opened_alike() -> None:
    assert inspect.signature(Client) == inspect.signature(AsyncClient)


def test_many_jobs_are_awaited_at_once(stack: Stack, tmp_path: Path) -> None:
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    scan = np.zeros((20, 24, 28), np.int16)
    scan[5:15, 6:18, 7:21] = 400

    async def course() -> None:
        async with AsyncClient(stack.url) as c:
            jobs = await asyncio.gather(*(c.generate(model="tiny", seed=seed) for seed in range(3)))
            assert {type(job) for job in jobs} == {AsyncJob}
            images = await asyncio.gather(*(job.volume() for job in jobs))
            assert {type(image) for image in images} == {nibabel.Nifti1Image}
            assert (await jobs[0].preview()).startswith(b"\x89PNG")
            events = [kind async for _, kind, _ in jobs[1].events()]
            assert events[-1] == "end"
            encoded = await c.encode((scan, affine), model="tiny", reconstruct=True)
            assert (await encoded.latents).shape == (1, 8)
            assert "psnr" in await encoded.metrics
            saved = await jobs[2].download(tmp_path)
            assert {path.name for path in saved} >= {"000.nii.gz", "000.png", "provenance.json"}
            listed = [job.id async for job in c.jobs(limit=2)]
            assert [job.id for job in [encoded, *jobs][:1]] == listed[:1]
            assert {job.id for job in jobs} <= set(listed)
            assert (await jobs[0].cancel()).state == "succeeded"
            with pytest.raises(problems.NotFound):
                await c.model("none-such")
            assert c.server_version is not None
            # The blocking client where an event loop runs already, as in a notebook.
            with Client(stack.url) as blocking:
                assert blocking.job(jobs[0].id).wait().volume().shape == images[0].shape
                for _ in blocking.job(jobs[0].id).events():
                    break

    asyncio.run(course())


def test_a_wait_that_is_canceled_ends(stack: Stack, tmp_path: Path) -> None:
    running = b'{"id": "a", "kind": "generate", "state": "running", "results": []}'

    async def course(port: int) -> None:
        async with AsyncClient(f"http://127.0.0.1:{port}") as c:
            job = await c.job("a")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(job.wait(), 0.2)
            with pytest.raises(problems.JobNotDone):
                await job.wait(timeout_s=0.1)

    with answering(lambda _path: (200, running)) as port:
        asyncio.run(course(port))


def test_a_method_for_one_side_alone_would_be_seen() -> None:
    """What Calls has is all that either has, but for what opens and closes them."""
    own = {name for name in public(Calls) if callable(getattr(Calls, name))}
    assert own == {name for name in public(Client) if callable(getattr(Client, name))} - ONLY_BLOCKING
