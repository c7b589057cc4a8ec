"""The model that ships: its card is honest and complete, it looks like heads, and its directions do what they say."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from latents.sample import gaussian
from model_store.card import DirectionCard, ModelCard
from model_store.catalogue import SHIPPED, Catalogue
from model_store.generator import Generator
from model_store.load import load
from training.demo.anatomy import (
    LATENT_DIM,
    boundaries,
    cropped,
    deform,
    deformation_of,
    draw,
    middles,
    subject_of,
    toned,
)
from training.demo.auto_decoder import AutoDecoder, Codes, Conv2, hidden, octave_loss, octaves, set_gates
from training.demo.brain_demo_256 import STRIPPED, WHOLE, card_with, steps_of
from training.demo.directions import DIRECTIONS, Named
from training.demo.warm_start import Phase, Plan, Scans, WarmStart, new_networks, slab_as_inferred
from training.engine.processes import ALONE
from volumes.files import read
from volumes.scan import preparation_by, prepare

FOLDER = SHIPPED / "brain-demo-256"
SCANS = Path(__file__).parents[3] / "shared" / "data"
MAX_BYTES = 24 * 10**6


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue([SHIPPED]).card("brain-demo-256")


@pytest.fixture(scope="module")
def model(card: ModelCard) -> Generator:
    return load(FOLDER, card)


def unit_volume(model: Generator, z: torch.Tensor) -> torch.Tensor:
    """G(z) in [0, 1], (A0, A1, A2)."""
    with torch.no_grad():
        return (model.synthesise(model.map(z[None]), None)[0, 0] + 1) / 2


def test_the_card_names_sources_licences_command_and_iterations(card: ModelCard) -> None:
    provenance = card.provenance
    assert card.shape == (256, 256, 256)
    assert card.has_encoder
    assert len(provenance.sources) >= 4
    assert provenance.licences
    assert "demo-model" in provenance.command
    assert provenance == card_with(steps_of(Plan())).provenance


def test_the_weights_are_small_enough_to_ship() -> None:
    assert (FOLDER / "weights.safetensors").stat().st_size <= MAX_BYTES


def test_samples_are_heads_and_differ_between_seeds(model: Generator) -> None:
    volumes = [unit_volume(model, gaussian(seed, model.card.latent.z_dim, None)) for seed in (0, 1)]
    for volume in volumes:
        tissue = volume > 0.12
        share = float(tissue.float().mean())
        assert 0.15 < share < 0.7
        # A head in a box: the middle is tissue, the upper edges of the box are air.
        assert tissue[80:140, 100:156, 100:156].float().mean() > 0.8
        assert tissue[:40, :24].float().mean() < 0.05
        assert volume[80:140, 100:156, 100:156].std() > 0.02
    assert (volumes[0] - volumes[1]).abs().mean() > 0.01


def test_the_shipped_directions_are_those_of_the_recipe(card: ModelCard) -> None:
    shipped = {path.stem for path in (FOLDER / "directions").glob("*.json")}
    assert shipped == {named.name for named in DIRECTIONS}
    assert len(shipped) >= 3


@pytest.mark.parametrize("named", DIRECTIONS, ids=lambda named: named.name)
def test_a_direction_changes_the_attribute_it_names(model: Generator, card: ModelCard, named: Named) -> None:
    """From a seed that the directions were not measured on, two units either way."""
    stored = DirectionCard.model_validate_json((FOLDER / "directions" / f"{named.name}.json").read_bytes())
    start = gaussian(4242, card.latent.z_dim, None)
    vector = torch.tensor(stored.vector)
    start = start + (named.centre - float(start @ vector)) * vector
    low, high = (named.measurement(unit_volume(model, start + s * stored.std * vector), card) for s in (-1.7, 1.7))
    assert stored.slope is not None
    assert stored.r2 is not None
    assert np.sign(high - low) == np.sign(stored.slope)
    predicted = stored.slope * 3.4 * stored.std
    assert abs(high - low) > 0.3 * abs(predicted)


def test_the_encoder_finds_a_generated_head_again(model: Generator, card: ModelCard) -> None:
    """Encode(generate(z)) generates nearly the same volume: closer than another seed's by far."""
    z = gaussian(7, card.latent.z_dim, None)
    volume = unit_volume(model, z)
    with torch.no_grad():
        again = unit_volume(model, model.encode(volume[None, None] * 2 - 1)[0, 0])
    other = unit_volume(model, gaussian(8, card.latent.z_dim, None))
    assert (again - volume).abs().mean() < 0.5 * (other - volume).abs().mean()


@pytest.mark.skipif(not SCANS.exists(), reason="needs the shared volumes")
@pytest.mark.parametrize(
    ("scan", "is_stripped"),
    [
        ("mni_icbm152_t1_tal_nlin_sym_09a_converted", True),
        ("vrd_stroke_T1", True),
        ("antspy_ch2", True),
        ("seg3D_MR", False),
        ("fnndsc_adi_brain_T1_from_dicom", False),
    ],
)
def test_the_encoder_tells_unseen_brains_without_a_skull_from_heads(
    model: Generator, scan: str, is_stripped: bool
) -> None:
    array = prepare(read(SCANS / f"{scan}.nii.gz"), preparation_by(model.card)).array
    with torch.no_grad():
        z = model.encode(torch.from_numpy(array)[None, None])[0, 0]
    assert subject_of(z, len(WHOLE), len(STRIPPED))[0] == is_stripped


@pytest.mark.parametrize("start", [0, 12, 56])
def test_a_slab_as_inferred_is_the_slab_of_the_whole_volume(start: int) -> None:
    generator, _ = new_networks(64, 8, 0)
    with torch.no_grad():
        features = generator.common(torch.randn(2, LATENT_DIM, generator=torch.Generator().manual_seed(3)))
        slab = slab_as_inferred(generator, features, start, 8)
        torch.testing.assert_close(slab, generator.high(features)[:, :, start : start + 8], rtol=0, atol=1e-5)


def test_a_halved_slab_is_the_average_of_the_volume_before_tanh() -> None:
    generator, _ = new_networks(64, 8, 0)
    with torch.no_grad():
        features = generator.common(torch.randn(1, LATENT_DIM, generator=torch.Generator().manual_seed(4)))
        whole = torch.atanh(slab_as_inferred(generator, features, 0, 64).double())
        halved = torch.atanh(slab_as_inferred(generator, features, 8, 16, halved=True).double())
        wanted = torch.nn.functional.avg_pool3d(whole, 2)[:, :, 4:12]
    inside = (slice(None), slice(None), slice(None), slice(1, -1), slice(1, -1))  # the edges are padded at either scale
    torch.testing.assert_close(halved[inside], wanted[inside], rtol=0, atol=1e-4)


def test_octaves_add_up_and_a_faint_structure_counts_as_much_as_a_strong_one() -> None:
    source = torch.Generator().manual_seed(0)
    volume = torch.randn(1, 1, 64, 64, 64, generator=source)
    total = octaves(volume)[-1]
    for band in reversed(octaves(volume)[:-1]):
        total = torch.nn.functional.interpolate(total, size=band.shape[2:], mode="trilinear") + band
    torch.testing.assert_close(total, volume)
    real = volume.clone()
    real[:, :, :, :, 32:] *= 0.5
    losses = []
    for half in (slice(0, 32), slice(32, 64)):
        made = real.clone()
        made[:, :, :, :, half] = 0
        losses.append(float(octave_loss(made, real)))
    assert 0.4 < losses[1] / losses[0] < 1.4  # by squared error alone it is a quarter


def test_what_is_half_certain_fades_by_squared_error_and_less_beside_the_amplitude() -> None:
    source = torch.Generator().manual_seed(0)
    certain, real, other = (torch.randn(1, 1, 32, 32, 32, generator=source) for _ in range(3))
    real, guess = certain + real, certain + other  # correlated by a half

    def best(amplitude: float) -> float:
        gains = [0.05 * k for k in range(1, 25)]
        return min(gains, key=lambda gain: float(octave_loss(gain * guess, real, amplitude=amplitude)))

    assert abs(best(0.0) - 0.5) < 0.11
    assert abs(best(1.0) - 0.75) < 0.11  # (0.5 + 1) / (1 + 1)
    assert float(octave_loss(real, real, amplitude=1.0)) < 1e-5


def test_a_larger_head_reaches_further_from_the_vertex_and_nowhere_else() -> None:
    scan = torch.zeros(1, 64, 64, 64)
    scan[:, 4:44, 16:48, 16:48] = 0.5
    z = torch.zeros(LATENT_DIM)
    z[0] = 10.0
    plain, larger = (deform(scan, deformation_of(one), (64, 64, 64), (200.0, 240.0, 208.0)) for one in (0 * z, z))
    extents = [(volume[0, :, 32, 32] > -0.5).nonzero()[[0, -1], 0].tolist() for volume in (plain, larger)]
    assert extents[1][0] - extents[0][0] in (0, 1)  # the vertex stays where scans are placed by it
    assert 2 <= extents[1][1] - extents[0][1] <= 5  # 8% of 40


@pytest.mark.parametrize(("whole", "stripped"), [(3, 1), (4, 2), (2, 0)])
def test_the_subject_changes_at_the_boundaries_and_nowhere_else(whole: int, stripped: int) -> None:
    at = boundaries(whole, stripped)
    assert len(at) == whole + stripped - 1
    assert at == sorted(at)
    between = [at[0] - 1, *((a + b) / 2 for a, b in itertools.pairwise(at)), at[-1] + 1]
    found = [subject_of(torch.tensor([0.0, 0.0, 0.0, place]), whole, stripped) for place in between]
    assert found == [(False, k) for k in range(whole)] + [(True, k) for k in range(stripped)]
    for k, place in enumerate(at):
        assert subject_of(torch.tensor([0.0, 0.0, 0.0, place - 0.01]), whole, stripped) == found[k]
        assert subject_of(torch.tensor([0.0, 0.0, 0.0, place + 0.01]), whole, stripped) == found[k + 1]


def test_held_codes_are_near_those_wanted_and_are_what_the_first_layers_make() -> None:
    """Two heads, each with a code and one tangent, away from the boundary between them."""
    generator, _ = new_networks(64, 8, 0)
    common, source = generator.common, torch.Generator().manual_seed(0)
    codes = Codes(2, 128)
    with torch.no_grad():
        codes.table.copy_(torch.randn(codes.table.shape, generator=source))
        codes.table[:, 2:] = 0
    wanted = copy.deepcopy(codes)
    set_gates(common, boundaries(2, 0), source)

    def head(z: torch.Tensor) -> int:
        return subject_of(z, 2, 0)[1]

    made_by_conv2 = Conv2(common, 2, head, draw(96, source, 0.0))
    z = draw(32, source, 0.0)
    z = z[z[:, 3].abs() > 0.3]

    def all_of(some: Codes) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([some(head(row), row) for row in z])

    made_by_conv2.hold(codes.table)
    # Noise asks for more than conv2 has weights for.
    assert (all_of(codes) - all_of(wanted)).square().mean() < 0.45 * all_of(wanted).var()
    for _ in range(4):
        made_by_conv2.hold(codes.table)
    with torch.no_grad():
        served = common.get_submodule("conv2")(hidden(common, z))
    assert (served - all_of(codes)).square().mean() < 0.03 * all_of(codes).var()


def test_the_latent_of_another_scan_is_that_of_the_nearest_head() -> None:
    """Another scan that is a known head, longer by two deviations and darker by one."""
    source = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 1, 16, 16, 16, generator=source) * 200
    heads = list(torch.nn.functional.interpolate(coarse, scale_factor=8, mode="trilinear")[:, 0].byte())
    box = (200.0, 240.0, 208.0)
    wanted = torch.tensor([0.0, 2.0, -1.0, 1.0])
    longer = deform(heads[1][None].float() / 255, deformation_of(wanted), (128, 128, 128), box)
    other = ((longer[0] + 1) / 2 * 255).round().byte()
    scans = Scans(heads[:2], heads[2:], box, [other])
    found = scans.nearest_to(3)
    torch.testing.assert_close(found[:3], wanted[:3])
    assert subject_of(found, 2, 1) == (False, 1)
    stripped = scans.nearest(scans.level(8)[3], alike=scans.nearest_to(2))
    assert subject_of(stripped, 2, 1) == (True, 0)


def test_half_of_the_fields_of_view_end_above_the_box() -> None:
    source = torch.Generator().manual_seed(0)
    head = torch.rand(1, 20, 4, 4, generator=source) + 0.1
    ends = []
    for _ in range(400):
        seen = cropped(head, source)
        slices = int((seen[0].amax(dim=(1, 2)) > 0).sum())
        torch.testing.assert_close(seen[:, :slices], head[:, :slices])
        ends.append(slices)
    assert 0.4 < sum(end == 20 for end in ends) / 400 < 0.6
    assert min(ends) == 12
    assert set(ends) == set(range(12, 21))


def test_another_contrast_keeps_the_order_of_greys_and_both_ends() -> None:
    source = torch.Generator().manual_seed(0)
    greys = torch.linspace(0, 1, 1000).reshape(1, 10, 10, 10)
    middles_of = []
    for _ in range(100):
        made = toned(greys, source).flatten()
        assert (made.diff() > 0).all()
        torch.testing.assert_close(made[[0, -1]], torch.tensor([0.0, 1.0]))
        middles_of.append(made[500])
    assert 0.05 < torch.stack(middles_of).std() < 0.2


def noise_heads() -> Scans:
    """Two whole ones, a stripped one and one for the encoder: smooth noise at 128^3."""
    source = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 1, 16, 16, 16, generator=source)
    smooth = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="trilinear")[:, 0] * 255
    return Scans(list(smooth[:2].byte()), list(smooth[2:3].byte()), (200.0, 240.0, 208.0), list(smooth[3:].byte()))


def learner(scans: Scans, seed: int = 2) -> WarmStart:
    return WarmStart(*new_networks(128, 8, 0), scans, seed, lambda *_: None)


def test_other_peoples_heads_are_sized_bent_cut_and_toned() -> None:
    """Seen on a brick that is half as bright as can be: its lower face, 106 mm below the vertex, and its grey."""
    brick = torch.zeros(128, 128, 128, dtype=torch.uint8)
    brick[20:70, 30:98, 30:98] = 128
    scans = Scans([brick, brick], [], (200.0, 240.0, 208.0))
    warm = learner(scans)
    made = [warm.another(0)[0][0] for _ in range(32)]
    ends = [int((volume.amax(dim=(1, 2)) > 0).sum()) for volume in made]
    faces = torch.stack([(volume[45:, 50:78, 50:78] > 0).sum(dim=0).float() for volume in made])
    whole = faces.amax(dim=(1, 2)) < 77 - 45  # those that no field of view can have cut
    depths = faces[whole].mean(dim=(1, 2))
    assert depths.std() > 3  # sized
    assert faces[whole].std(dim=(1, 2)).median() > 0.5  # bent
    greys = torch.stack([volume[40, 55:73, 55:73].median() for volume in made])
    assert 0.05 < greys.std() < 0.18  # toned, and hardly otherwise bright
    assert len(set(ends)) > 8


def test_half_of_other_peoples_heads_are_cut() -> None:
    warm = learner(noise_heads())
    ends = [int((warm.another(0)[0][0].amax(dim=(1, 2)) > 0).sum()) for _ in range(24)]
    assert min(ends) < 0.75 * 128  # none is sized down so far
    assert sum(end == 128 for end in ends) >= 4


def test_other_peoples_heads_are_of_the_recipes_own_randomness() -> None:
    made = []
    for elsewhere in (1, 2):
        warm = learner(noise_heads())
        torch.manual_seed(elsewhere)
        made.append([warm.another(place)[0] for place in (0, 2, 3, 0)])
    for first, again in zip(*made, strict=True):
        torch.testing.assert_close(first, again)
        assert 0 <= first.min() <= first.max() <= 1 + 1e-5


@pytest.mark.parametrize("place", [0, 2, 3])
def test_another_head_comes_with_the_latent_that_shows_the_nearest_of_its_kind(place: int) -> None:
    """Among whole heads, or among stripped ones: no latent of that kind is nearer."""
    scans = noise_heads()
    warm = learner(scans)
    is_stripped = subject_of(scans.nearest_to(place), 2, 1)[0]
    heads = [head for head in middles(2, 1) if (head > 2.5) == is_stripped]
    steps = (-2.0, 0.0, 2.0)
    tried = torch.tensor(list(itertools.product(steps, steps, steps, heads)))
    for _ in range(6):
        volume, z = warm.another(place)
        coarse = torch.nn.functional.avg_pool3d(volume, 8) * 2 - 1
        assert subject_of(z, 2, 1)[0] == is_stripped
        error = (scans.of(z, 16) - coarse).square().mean()
        assert all(error <= (scans.of(other, 16) - coarse).square().mean() + 1e-3 for other in tried)


def test_a_third_of_what_the_encoder_learns_from_are_known_heads() -> None:
    """The others have latents that were looked for in half steps."""
    latents = torch.stack([z for _, z in learner(noise_heads()).features_of_scans(7)])
    in_steps = ((latents[:, :3] * 2).frac().abs() < 1e-5).all(dim=1)
    assert in_steps.tolist() == [False, True, True] * 2 + [False]


def test_every_phase_of_the_recipe_runs_and_learns() -> None:
    scans = noise_heads()
    generator, encoder = new_networks(128, 8, 0)
    losses: dict[str, list[float]] = {}

    def tell(phase: str, _step: int, _steps: int, loss: float) -> None:
        losses.setdefault(phase, []).append(loss)

    heart = AutoDecoder(generator, scans, 8, 1, ALONE, tell)
    heart.fit_codes("coarse", Phase(10, 1, 2e-3), None, last=4)
    heart.fit_codes("codes", Phase(10, 1, 2e-3), (2, 6), last=5)
    heart.fit_codes("codes high", Phase(4, 1, 2e-3), (0, 0), last=5, high=True)
    heart.set_first_layers()
    heart.fit_held(Phase(4, 1, 2e-3), 60)
    heart.fit_high(Phase(4, 1, 1e-3), amplitude=0.2)
    warm = WarmStart(generator, encoder, scans, 2, tell)
    warm.fit_encoder_high(Phase(4, 1, 1e-3))
    warm.fit_encoder_ground(Phase(4, 2, 1e-3), Phase(4, 2, 1e-3), 2)
    by_heart = {"coarse", "codes", "codes high", "held", "high"}
    phases = by_heart | {"encoder high", "encoder ground", "encoder scans"}
    assert phases <= set(losses)
    assert all(np.isfinite(values).all() for values in losses.values())
    for name in ("coarse", "codes"):
        assert min(losses[name][-3:]) < 0.9 * losses[name][0]
