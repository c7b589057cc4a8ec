"""Makes the shipped model thorax-demo-128: `make thorax-model` (docs/decisions/0063).

It needs no data: the phantoms that it learns from are made first. Everything is fixed here, so that the card's command
is the whole recipe.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn

from model_store.card import IntensitySpec, LatentSpec, ModelCard, PreprocessSpec, Provenance
from model_store.load import load
from model_store.networks.hagan import HAGANEncoder, HAGANGenerator
from training.demo.thorax_anatomy import CLASSES, LATENT_DIM, NETWORK_AXES
from training.demo.thorax_directions import write_directions
from training.demo.thorax_pairs import Pairs
from training.demo.thorax_start import SHIPPED_PLAN, Plan, ThoraxStart
from training.demo.warm_start import each_once
from training.engine.export import export
from training.engine.processes import Tell, lines
from training.hagan.trainer import save
from training.phantoms.dataset import WINDOW
from training.phantoms.phantom import SPACING_MM

NAME, SIZE, WIDTH, SEED = "thorax-demo-128", 128, 12, 0


def card_with(iterations: Mapping[str, int]) -> ModelCard:
    """The model's card; `export` adds the digest of the weights."""
    x, y, z = SPACING_MM
    return ModelCard(
        name=NAME,
        family="hagan",
        title="Demo: thorax phantoms in HU at 128^3, by severity of emphysema",
        description="A small conditional HA-GAN of a procedural thorax in HU, to try classes, CT windows and "
        "directions with. It has learned from phantoms alone, simple solids that no patient has lent a shape to, and "
        "shows neither people nor their variety. Synthetic; not for diagnosis.",
        modality="CT",
        anatomy="thorax",
        licence="Apache-2.0",
        shape=(SIZE, SIZE, SIZE),
        axes=NETWORK_AXES,
        spacing_mm=(z, y, x),
        latent=LatentSpec(z_dim=LATENT_DIM, w_dim=LATENT_DIM),
        intensity=IntensitySpec(low=WINDOW[0], high=WINDOW[1], units="HU"),
        preprocess=PreprocessSpec(placement="stretch", window=WINDOW),
        classes=list(CLASSES),
        has_encoder=True,
        network={"width": WIDTH},
        provenance=Provenance(
            origin="trained",
            sources=["phantoms alone: training/phantoms of this project, no scan of anybody"],
            licences=["Apache-2.0"],
            command="make thorax-model",
            iterations=dict(iterations),
            notes="Supervised by pairs of latent and phantom (docs/decisions/0063), without adversarial iterations. "
            "Each axis of z is a proportion of the phantom; a class is the extent of its emphysema.",
        ),
    )


def new_networks(size: int, width: int, seed: int) -> tuple[HAGANGenerator, HAGANEncoder]:
    """Randomly initialised networks of the phantoms' latent and classes."""
    torch.manual_seed(seed)
    return HAGANGenerator(size, width, LATENT_DIM, len(CLASSES)), HAGANEncoder(size, width, LATENT_DIM)


def make(out: Path, plan: Plan, tell: Tell) -> Path:
    """Train the model; every pair and every phase that `out` already holds is not made again."""
    out.mkdir(parents=True, exist_ok=True)
    generator, encoder = new_networks(SIZE, WIDTH, SEED)
    networks = nn.ModuleDict({"generator": generator, "encoder": encoder})

    def tell_and_keep(phase: str, step: int, steps: int, loss: float) -> None:
        tell(phase, step, steps, loss)
        if step % 100 == 0:
            save(out / "latest.pt", {"networks": networks.state_dict()})  # to look at; a phase starts over

    pairs = Pairs(out / "pairs", plan.pairs, SIZE, lambda done, count: tell("pairs", done, count, 0.0))
    start = ThoraxStart(generator, encoder, pairs, WIDTH, SEED + 1, tell_and_keep)
    phases: dict[str, Callable[[], None]] = {
        "low-16": lambda: start.fit_low(3, plan.low[0]),
        "low-32": lambda: start.fit_low(5, plan.low[1]),
        "low-32-again": lambda: start.fit_low(5, plan.low[2]),
        "high": lambda: start.fit_high(plan.high),
        "joint": lambda: start.fit_joint(plan.joint),
        "anatomy": lambda: start.fit_anatomy(plan.anatomy),
        "encoder-high": lambda: start.fit_encoder_high(plan.encoder_high),
        "encoder": lambda: start.fit_encoder(plan.encoder),
        "bones": lambda: start.fit_bones(plan.bones),
        "encoder-again": lambda: start.fit_encoder(plan.encoder_again),
    }
    each_once(phases, out, networks, start.source)
    steps = {
        "low resolution": sum(phase.steps for phase in plan.low),
        "high resolution": plan.high.steps,
        "both resolutions": plan.joint.steps + plan.anatomy.steps + plan.bones.steps,
        "encoder": plan.encoder_high.steps + plan.encoder.steps + plan.encoder_again.steps,
        "adversarial": 0,
    }
    folder = out / NAME
    card = export(folder, card_with(steps), {"generator": generator, "encoder": encoder}, half=True)
    write_directions(folder, load(folder, card))
    return folder


def main() -> None:
    """Command line of `make thorax-model`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sys.stderr.write(f"{make(arguments.out, SHIPPED_PLAN, lines(20))}\n")


if __name__ == "__main__":
    main()
