"""MEGAN's networks and cascade against the authors' outputs, and against a plain evaluation on whole arrays."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch.utils.flop_counter import FlopCounterMode

from model_store.importers.megan_weights import read
from model_store.networks.cascade import Cascade
from model_store.networks.lines import interpolation, planes, stretched
from model_store.networks.megan import Doubling, ResidualGenerator, enlarged_middle, low_resolution
from model_store.networks.megan_entry import halved_features
from model_store.networks.patches import Stitcher, count, starts, windows
from model_store.sizes.megan import EdgeSizes, MEGANSizes, ScaleSizes
from model_store.translator import Guide, Pass, Slab
from tests.support.models.megan_files import chain, generator_state, resize, run, write_files

FIXTURES = Path(__file__).parents[3] / "shared" / "fixtures" / "megan"
TOLERANCE = 1e-3
"""At every voxel, of an image in [-1, 1]."""
NARROW = ScaleSizes(width=2, blocks=1)
needs_fixtures = pytest.mark.skipif(
    not FIXTURES.is_dir(), reason="the authors' outputs lie beside the repository, not in it"
)


def imported(paths: list[Path], folder: Path) -> Cascade:
    target = folder / "weights.safetensors"
    levels = read({"files": [str(path) for path in paths], "target": str(target)})["levels"]
    lr, *hr = (ScaleSizes(width=level["width"], blocks=level["blocks"]) for level in levels)
    cascade = Cascade.build(MEGANSizes(lr=lr, hr=hr, edges_at_twice=bool(levels[0]["edges_at_twice"])))
    cascade.load_state_dict({key.removeprefix("cascade."): value for key, value in load_file(target).items()})
    return cascade.eval()


def authors_cascade(case: str, folder: Path, levels: int) -> Cascade:
    spec = importlib.util.spec_from_file_location("checkpoint", FIXTURES / "checkpoint.py")
    assert spec is not None
    assert spec.loader is not None
    checkpoint: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checkpoint)
    checkpoint.write(folder, case)
    names = [f"{case}_LR", *(f"{case}_HR{level}" for level in range(1, levels + 1))]
    return imported([folder / name / "NETG_best.pth" for name in names], folder)


def tiny(folder: Path, levels: int = 1) -> tuple[Cascade, list[dict[str, torch.Tensor]]]:
    states = [generator_state(level) for level in range(levels + 1)]
    return imported(write_files(folder, states), folder), states


def whole(edges: torch.Tensor, shape: tuple[int, int, int], doublings: int) -> Guide:
    """Stretched to the shape, ends on ends."""
    a0, a1, a2 = ((0.0, float(side - 1)) for side in edges.shape)
    return Guide(edges, shape, (a0, a1, a2), doublings)


def drawn(shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Edges: mostly background, a few lines."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.rand(shape, generator=random)
    return torch.where(noise > 0.9, noise * 255, 0).to(torch.uint8)


def image(cascade: Cascade, guide: Guide, batch: int = 4) -> torch.Tensor:
    made = torch.full(guide.shape, torch.nan)
    for event in cascade.translate(guide, batch):
        if isinstance(event, Slab):
            made[event.start : event.start + len(event.planes)] = event.planes
    assert not made.isnan().any()
    return made


@needs_fixtures
def test_networks_compute_what_the_authors_computed(tmp_path: Path) -> None:
    cascade, truth = authors_cascade("dev_wide", tmp_path, 1), np.load(FIXTURES / "dev_wide.npz")
    lr, hr = cascade.levels
    with torch.inference_mode():
        of_cube = lr(torch.from_numpy(truth["lr_edges"])[None, None])[0, 0]
        box = lr(torch.from_numpy(truth["box_edges"])[None, None])[0, 0]
        patches = hr(torch.stack([torch.from_numpy(truth["hr_low"]), torch.from_numpy(truth["hr_edges"])], dim=1))
    for got, name in ((of_cube, "lr_out"), (box, "box_out"), (patches[:, 0], "hr_out")):
        assert np.abs(got.numpy() - truth[name]).max() < TOLERANCE


@needs_fixtures
@pytest.mark.parametrize(("case", "side", "levels"), [("a_level2", 64, 2), ("b_level1", 128, 1)])
def test_the_chain_gives_what_the_authors_gave(case: str, side: int, levels: int, tmp_path: Path) -> None:
    truth = np.load(FIXTURES / "dev_chain.npz")
    edges = torch.from_numpy(truth["edges"])
    cascade = authors_cascade("dev_chain", tmp_path, 2)
    made = image(cascade, whole(edges, (side, side, side), levels), batch=16).numpy()
    parts = {"s3": made[1::3, ::3, 2::3], "plane3": made[3], "plane26": made[:, 26], "planeM5": made[:, :, -5]}
    for name, part in parts.items():
        assert np.abs(part - truth[f"{case}_{name}"]).max() < TOLERANCE
    assert made.sum(dtype=np.float64) == pytest.approx(float(truth[f"{case}_sum"]), abs=TOLERANCE * side**3 / 100)


def test_a_generator_is_the_authors_layers_in_their_order(tmp_path: Path) -> None:
    cascade, states = tiny(tmp_path)
    x = torch.randn(2, 2, 16, 8, 24, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        low, high = cascade.levels[0](x[:1, :1]), cascade.levels[1](x)
    assert low.shape == (1, 1, 8, 4, 12)
    torch.testing.assert_close(low, run(states[0], x[:1, :1], 4, 1), atol=1e-4, rtol=0)
    torch.testing.assert_close(high, run(states[1], x, 4, 1), atol=1e-4, rtol=0)


def test_edges_at_the_images_own_size_take_one_halving_less(tmp_path: Path) -> None:
    state = generator_state(0, halved=False)
    cascade = imported(write_files(tmp_path, [state]), tmp_path)
    x = torch.randn(1, 1, 16, 16, 8, generator=torch.Generator().manual_seed(6))
    with torch.inference_mode():
        torch.testing.assert_close(cascade.levels[0](x), run(state, x, 4, 1), atol=1e-4, rtol=0)


def test_the_cascade_is_the_plain_chain_on_sides_that_differ(tmp_path: Path) -> None:
    cascade, states = tiny(tmp_path, levels=2)
    edges, sides = drawn((70, 40, 57)), (96, 64, 80)
    made = image(cascade, whole(edges, sides, 2))
    torch.testing.assert_close(made, chain(states, edges, sides, 4, 1), atol=TOLERANCE, rtol=0)


def test_a_batch_of_any_size_gives_the_same_image(tmp_path: Path) -> None:
    cascade, _ = tiny(tmp_path)
    guide = whole(drawn((40, 40, 40)), (64, 32, 40), 1)
    alone = image(cascade, guide, batch=1)
    for batch in (7, 32):
        torch.testing.assert_close(image(cascade, guide, batch), alone, atol=1e-5, rtol=0)


def test_the_same_sketch_gives_the_same_bytes(tmp_path: Path) -> None:
    cascade, _ = tiny(tmp_path)
    guide = whole(drawn((40, 40, 40)), (40, 40, 40), 1)
    assert torch.equal(image(cascade, guide), image(cascade, guide))


def test_no_doubling_is_the_lowest_scale_alone(tmp_path: Path) -> None:
    cascade, states = tiny(tmp_path, levels=0)
    edges = drawn((32, 24, 24))
    at_twice = (resize(edges.double(), (48, 32, 32)) / 127.5 - 1).float()
    made = image(cascade, whole(edges, (24, 16, 16), 0))
    torch.testing.assert_close(made, run(states[0], at_twice[None, None], 4, 1)[0, 0], atol=1e-4, rtol=0)


def test_progress_counts_every_patch_of_every_scale(tmp_path: Path) -> None:
    cascade, _ = tiny(tmp_path, levels=2)
    told = [
        event
        for event in cascade.translate(whole(drawn((40, 40, 40)), (64, 64, 64), 2), batch=10)
        if isinstance(event, Pass)
    ]
    assert [event.scale for event in told] == sorted(event.scale for event in told)
    last = {event.scale: event for event in told}
    assert [(event.shape[0], event.done, event.total) for event in last.values()] == [
        (16, 1, 1),
        (32, 2, 2),
        (64, 28, 28),
    ]


def test_windows_are_those_of_the_authors() -> None:
    assert starts(64) == [0, 20, 32]
    assert starts(128) == [0, 20, 40, 60, 80, 96]
    assert starts(32) == [0]
    assert starts(52) == [0, 20]
    assert [count((side, side, side)) for side in (64, 128, 256, 512)] == [28, 217, 2198, 15626]
    found = list(windows((64, 32, 52)))
    assert found[-1] == found[-2] == (32, 0, 20)
    assert len(found) == count((64, 32, 52)) == 7
    with pytest.raises(ValueError, match="does not fit"):
        starts(31)


@pytest.mark.parametrize("blends", [False, True])
def test_a_network_that_is_the_identity_leaves_no_seam(blends: bool) -> None:
    shape = (72, 52, 33)
    truth = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    stitcher, made = Stitcher(shape, blends), torch.full(shape, torch.nan)
    finished = 0
    for at in windows(shape):
        patch = truth[tuple(slice(first, first + 32) for first in at)]
        for first, values in stitcher.add(at, patch):
            assert first == finished
            made[first : first + len(values)] = values
            finished += len(values)
    first, values = stitcher.rest()
    made[first:] = values
    torch.testing.assert_close(made, truth, atol=1e-6, rtol=0)


def test_interpolation_by_planes_is_torchs_trilinear() -> None:
    volume = torch.rand(11, 8, 13, generator=torch.Generator().manual_seed(2))
    sides = (17, 5, 13)
    a0, a1, a2 = (stretched(old, new) for old, new in zip(volume.shape, sides, strict=True))
    wanted = resize(volume.double(), sides).float()
    torch.testing.assert_close(planes(volume, (a0, a1, a2), 0, 17), wanted, atol=1e-6, rtol=0)
    torch.testing.assert_close(planes(volume, (a0, a1, a2), 6, 9), wanted[6:9], atol=1e-6, rtol=0)


def test_beyond_the_ends_there_is_background() -> None:
    matrix = interpolation(torch.tensor([-1.5, -0.25, 0.5, 3.25, 4.0]), 4)
    assert matrix.sum(dim=1).tolist() == [0, 0.75, 1, 0.75, 0]


def test_sides_that_the_halvings_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 8"):
        ResidualGenerator(1, 4, 1, halves=True)(torch.zeros(1, 1, 16, 12, 16))


def test_doubling_in_eight_parts_is_the_transposed_convolution() -> None:
    torch.manual_seed(0)
    layer = Doubling(256, 3)
    x = torch.randn(2, 256, 3, 4, 5).contiguous(memory_format=torch.channels_last_3d)
    plain = F.conv_transpose3d(x, layer.weight, layer.bias, stride=2, padding=1)
    with torch.inference_mode():
        made = layer(x)
    assert not torch.equal(made, plain)
    torch.testing.assert_close(made, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("skips", [False, True])
def test_arithmetic_is_counted_as_torch_counts_it_and_shares_go_from_nothing_to_all(skips: bool) -> None:
    torch.manual_seed(0)
    cascade = Cascade.build(MEGANSizes(lr=NARROW, hr=[ScaleSizes(width=3, blocks=2), NARROW], skips=skips)).eval()
    for level, shape in zip(cascade.levels, [(32, 16, 24), (32, 32, 32), (32, 32, 32)], strict=True):
        assert isinstance(level, ResidualGenerator)
        with FlopCounterMode(display=False) as counter:  # with gradients, layer by layer
            made = level(torch.zeros(1, level.inputs, *shape))
        twice = level.leave.weight.numel() * made.numel() // 7  # the last layer's kernel has one row more
        assert counter.get_total_flops() == 2 * (level.work(shape) + twice)
    guide = whole(drawn((64, 64, 64)), (64, 64, 64), 2)
    passes = [event for event in cascade.translate(guide) if isinstance(event, Pass)]
    shares = [event.share for event in passes]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    patch = cascade.levels[2].work((32, 32, 32)) * count((64, 64, 64))
    assert shares[-1] - next(event.share for event in passes if event.scale == 2) == pytest.approx(
        patch / (patch + cascade.levels[1].work((32,) * 3) * 2 + cascade.levels[0].work((32, 32, 32)))
    )


def test_features_that_skip_are_those_of_the_same_size_and_bring_the_enlarged_image_with_them() -> None:
    """Held against the layers, one by one; LR's first two go in slabs without gradients."""
    torch.manual_seed(0)
    cascade = Cascade.build(MEGANSizes(lr=NARROW, hr=[NARROW], skips=True)).eval()
    for level, x in zip(cascade.levels, (torch.randn(1, 1, 32, 16, 24), torch.randn(2, 2, 32, 32, 32)), strict=True):
        assert isinstance(level, ResidualGenerator)
        seen = torch.cat([x, enlarged_middle(x[:, :1])], 1) if level.aligns else x
        kept = [level.enter(seen)]
        for layer in level.down:
            kept.append(layer(kept[-1]))
        y = level.blocks[0](kept[-1])
        y = level.up[0](y) + kept[-2]
        y = level.up[1](y) + kept[-3]
        expected = level.leave(y).tanh()
        assert torch.allclose(level(x), expected, atol=1e-5)
        with torch.no_grad():
            assert torch.allclose(level(x), expected, atol=2e-5)


def test_faint_edges_come_forward_as_the_card_says() -> None:
    torch.manual_seed(0)
    edges = drawn((32, 32, 32))
    plain = Cascade.build(MEGANSizes(lr=NARROW, hr=[])).eval()
    spread = Cascade.build(MEGANSizes(lr=NARROW, hr=[], edges=EdgeSizes(power=0.5))).eval()
    spread.load_state_dict(plain.state_dict())
    guide = whole((edges.float() / 255).sqrt() * 255, (16, 16, 16), 0)
    assert torch.allclose(image(spread, whole(edges, (16, 16, 16), 0)), image(plain, guide), atol=1e-5)


@pytest.mark.parametrize("planes", [2, 6, 16, 64])
def test_the_first_layers_in_slabs_are_the_layers(planes: int) -> None:
    torch.manual_seed(0)
    network = low_resolution(3, 1).eval()
    edges = torch.randn(2, 1, 24, 16, 32) * torch.linspace(1, 9, 24)[:, None, None]
    enter, halve = network.enter, network.down[0]
    for layer in (enter, halve):
        torch.nn.init.normal_(layer.norm.weight)
        torch.nn.init.normal_(layer.norm.bias)
    plain = network(edges)  # with gradients, layer by layer
    with torch.no_grad():
        assert torch.allclose(halved_features(enter, halve, edges, planes), halve(enter(edges)), atol=2e-5)
        assert torch.allclose(network(edges), plain, atol=2e-5)
