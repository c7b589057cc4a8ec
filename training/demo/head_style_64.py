"""Makes the shipped model head-style-64: `make style-model DATA=folder` (docs/decisions/0022).

The folder holds the public scans of SOURCES under these names. Everything else is fixed here, so that the card's
command is the whole recipe: a supervised start, then adversarial iterations by the paper's trainer.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing.spawn import spawn

from model_store.card import (
    IntensitySpec,
    LatentSpec,
    ModelCard,
    PreprocessSpec,
    Provenance,
    TruncationSpec,
)
from model_store.families.stylegan import ServedStyleGAN
from model_store.networks.reversed_encoder import ReversedEncoder
from model_store.networks.stylegan import STYLES_PER_STAGE, MappingNetwork, SynthesisNetwork
from training.demo.sources import Source
from training.demo.style_anatomy import LATENT_DIM, Heads, draw
from training.demo.style_start import Stretch, StyleStart, Tell
from training.demo.warm_start import Phase, Share, lines
from training.engine.checkpoint import save
from training.engine.export import export
from training.progressive.config import StyleGANConfig
from training.progressive.networks import set_mean_style
from training.progressive.trainer import ProgressiveTrainer
from volumes.files import read
from volumes.scan import Preparation, prepare

NAME, SIZE, SEED = "head-style-64", 64, 0
AXES = "IAL"
BOX_MM = (200.0, 240.0, 208.0)
"""Along A0 (down from the vertex), A1 (front) and A2 (left)."""
BASE, STAGES, WIDTH, CRITIC_WIDTH = (8, 8, 8), 3, 16, 8
W_DIM, MAPPING_LAYERS = 64, 3


SOURCES = (
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("fnndsc_adi_brain_T1_from_dicom.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("niivue_otsu.nii.gz", "niivue/niivue", "BSD-2-Clause"),
)


@dataclass(frozen=True)
class Plan:
    """The phases in order, batches per process; the defaults made the shipped model."""

    stretches: tuple[Stretch, ...] = (
        Stretch("stage 1", 1, Phase(200, 2, 3e-3)),
        Stretch("stage 2", 2, Phase(600, 2, 3e-3)),
        Stretch("stage 3", 3, Phase(600, 1, 3e-3)),
    )
    encoder: Phase = field(default_factory=lambda: Phase(600, 2, 2e-3))
    adversarial: int = 5
    """Updates of the generator, each after five of the critic."""


def preparation(size: int) -> Preparation:
    """How a head comes to a grid of size^3."""
    spacing_mm = (BOX_MM[0] / size, BOX_MM[1] / size, BOX_MM[2] / size)
    return Preparation((size, size, size), AXES, spacing_mm, (0.0, 1.0), "head")


def read_heads(folder: Path) -> Heads:
    """The scans at twice the model's resolution."""
    how = preparation(2 * SIZE)
    return Heads([torch.from_numpy(prepare(read(folder / s.file), how).array) for s in SOURCES], BOX_MM)


def new_networks() -> nn.ModuleDict:
    """Randomly initialised mapping, synthesis and encoder."""
    torch.manual_seed(SEED)
    channels = [WIDTH * 2 ** (STAGES - stage) for stage in range(1, STAGES + 1)]
    return nn.ModuleDict(
        {
            "mapping": MappingNetwork(LATENT_DIM, W_DIM, MAPPING_LAYERS),
            "synthesis": SynthesisNetwork(BASE, channels, W_DIM),
            "encoder": ReversedEncoder(BASE, channels, W_DIM, ServedStyleGAN.encoder_dense),
        }
    )


def start(heads: Heads, out: Path, plan: Plan, share: Share, tell: Tell) -> nn.ModuleDict:
    """The supervised phases; every phase that `out` already holds is not done again."""
    networks = new_networks()
    learner = StyleStart(networks, heads, SEED + 1, share, tell)

    def once(phase: str, fit: Callable[[Path], None]) -> None:
        name = phase.replace(" ", "-")
        saved = out / f"{name}.pt"
        if saved.exists():
            networks.load_state_dict(torch.load(saved, weights_only=True))
            return
        fit(out / f"{name}.step")
        if share.rank == 0:
            save(saved, networks.state_dict())
        if share.processes > 1:
            dist.barrier()

    for stretch in plan.stretches:
        once(stretch.name, partial(learner.fit_stage, stretch))
    once("encoder", partial(learner.fit_encoder, plan.encoder))
    set_mean_style(learner.mapping)
    return networks


def fight(heads: Heads, started: Path, out: Path, iterations: int, tell: Tell) -> ProgressiveTrainer:
    """Adversarial iterations on deformed scans from the started model, by the trainer of `voxelsmith train`."""
    config = StyleGANConfig(
        data=out, out=out, name=NAME, base=BASE, stages=STAGES, channels=WIDTH, critic_channels=CRITIC_WIDTH,
        z_dim=LATENT_DIM, w_dim=W_DIM, mapping_layers=MAPPING_LAYERS, batch_size=1, critic_steps=5, average=0.9,
        seed=SEED, start_from=started,
    )  # fmt: skip
    trainer = ProgressiveTrainer(config)
    trainer.start_from(started)
    first = trainer.iteration
    for step in range(iterations):
        z = draw(config.batch_size * config.critic_steps, torch.Generator().manual_seed(SEED + step))
        real = torch.stack([heads.of(row, SIZE) for row in z])
        losses = trainer.step(real, torch.full((len(real),), -1))
        tell("adversarial", trainer.iteration - first, iterations, float(losses["distance"]))
    return trainer


def finish(heads: Heads, networks: nn.ModuleDict, out: Path, plan: Plan, tell: Tell) -> Path:
    """The adversarial iterations, and the model's folder in float16."""
    counts = {
        "supervised start": sum(stretch.phase.steps for stretch in plan.stretches),
        "encoder": plan.encoder.steps,
        "adversarial": 0,
    }
    started = out / "started"
    export(started, card_with(counts, critic=False), dict(networks.items()))
    folder = out / NAME
    if not plan.adversarial:
        export(folder, card_with(counts, critic=False), dict(networks.items()), half=True)
        return folder
    trainer = fight(heads, started, out, plan.adversarial, tell)
    made = {**dict(trainer.averaged().named_children()), "encoder": networks["encoder"], "critic": trainer.critic}
    export(folder, card_with(counts | {"adversarial": plan.adversarial}, critic=True), made, half=True)
    return folder


def card_with(iterations: dict[str, int], critic: bool) -> ModelCard:
    """The model's card; `export` adds the digest of the weights."""
    how = preparation(SIZE)
    channels = [WIDTH * 2 ** (STAGES - stage) for stage in range(1, STAGES + 1)]
    network = {"base": list(BASE), "channels": channels, "mapping_layers": MAPPING_LAYERS, "critic": critic}
    if critic:
        network["critic_channels"] = [CRITIC_WIDTH * 2 ** (STAGES - stage) for stage in range(1, STAGES + 1)]
    return ModelCard(
        name=NAME,
        family="stylegan",
        title="Demo: styles of T1-weighted heads at 64^3",
        description="A small 3D-StyleGAN of whole heads in T1-weighted MR, to try style mixing and truncation with. "
        "Trained on three scans: its samples vary in shape, position and contrast, not in the richness of a "
        "population. Synthetic; not for diagnosis.",
        modality="MR",
        anatomy="head",
        licence="Apache-2.0",
        shape=how.shape,
        axes=AXES,
        spacing_mm=how.spacing_mm,
        latent=LatentSpec(z_dim=LATENT_DIM, w_dim=W_DIM, num_styles=STYLES_PER_STAGE * STAGES, has_style_space=True),
        truncation=TruncationSpec(kind="psi", default=None),
        intensity=IntensitySpec(low=0, high=1000, units="a.u.", network_range=how.network_range),
        preprocess=PreprocessSpec(placement="head", quantiles=how.quantiles),
        has_encoder=True,
        network=network,
        provenance=Provenance(
            origin="trained",
            sources=[f"{source.file}: {source.origin}" for source in SOURCES],
            licences=sorted({source.licence for source in SOURCES}),
            command="make style-model DATA=<folder with the sources>",
            iterations=iterations,
            notes="Supervised start with pairs of latent and deformed scan (docs/decisions/0022), in which the first "
            "five styles carry geometry and the others appearance; then a few adversarial iterations of the paper's "
            "training.",
        ),
    )


def _run(rank: int, count: int, data: Path, out: Path) -> None:
    """One of `count` processes: its part of the supervised phases; the first one goes on alone from there."""
    torch.set_num_threads(1)
    if count > 1:
        dist.init_process_group("gloo", f"file://{out.resolve()}/meet", rank=rank, world_size=count)
    tell = lines(25) if rank == 0 else lambda *_: None
    heads, plan = read_heads(data), Plan()
    networks = start(heads, out, plan, Share(rank, count), tell)
    if rank == 0:
        sys.stderr.write(f"{finish(heads, networks, out, plan, tell)}\n")


def main() -> None:
    """Command line of `make style-model`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2, help="that share each batch of the supervised phases")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "meet").unlink(missing_ok=True)
    ranks = arguments.processes
    spawn(_run, (ranks, arguments.data, arguments.out), ranks)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
