"""Makes the translator head-t1-128, which ships: `make translator-model DATA=folder` (docs/decisions/0047).

The folder holds the public scans of SOURCES under these names. The networks of the scales learn apart from each other,
from the scans themselves: `--scale K` trains one, so that several processes can share the work, with the same result.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.card import Provenance, TranslatorCard
from model_store.networks.layers import wide
from training.demo.head_t1_examples import example
from training.demo.sources import Source
from training.engine.checkpoint import save
from training.engine.data import prepare_folder
from training.engine.export import export_tensors, tensors_of
from training.engine.orthogonal import descent_of
from training.megan.augmentation import degraded
from training.megan.config import MEGANConfig
from training.megan.patches import Examples
from training.megan.trainer import FAMILY, MEGANTrainer

NAME = "head-t1-128"
RATE, VECTOR_RATE = 0.02, 2e-3
"""Of orthogonalised momentum on convolutions, and of Adam on what normalisation scales and shifts by."""
WARM_UP = 20
"""Iterations on which the rates rise. They fall to a twentieth over the second half."""
SAVE_EVERY = 100


@dataclass(frozen=True)
class Descent:
    """One scale's training: so many iterations, each the sum of the gradients of so many examples."""

    iterations: int
    examples: int
    patches: int = 1
    """Of an HR example; LR's is a whole scan."""
    squares: float = 0.0
    """Weight of the squared error beside the L1 distance. Where LR cannot know, squares have the mean as optimum."""
    dropout: float = 0.0


DESCENTS = (Descent(3400, 2, squares=13.0, dropout=0.1), Descent(4400, 1, patches=8), Descent(2650, 1, patches=12))
OWN_COARSE = 0.85
"""Of the HR examples, whose coarser image is what the networks below make of the edges, as in use."""


SOURCES = (
    Source("seg3D_MR.nii.gz", "neurolabusc/VolumeRenderingData", "MIT"),
    Source("brainchop_t1_crop.nii.gz", "neuroneural/brainchop", "MIT"),
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("niivue_otsu.nii.gz", "niivue/niivue", "BSD-2-Clause"),
    Source("fnndsc_adi_brain_T1_from_dicom.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("fnndsc_eun_uchar_8.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("CIT168toMNI152-2009c_T1w_brain.nii.gz", "CIT168 atlas (Pauli 2018)", "CC-BY-4.0"),
    Source("mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", "ICBM 152 (Fonov 2011)", "ICBM notice"),
    Source("spm152.nii.gz", "ICBM 152, as SPM has it", "ICBM notice"),
)


def config_of(data: Path, out: Path) -> MEGANConfig:
    """What the run is: three scales, 32 -> 64 -> 128, narrow networks."""
    return MEGANConfig(
        data=data, out=out, name=NAME, lr_size=32, doublings=2, lr_width=16,
        lr_blocks=4, hr_width=16, hr_blocks=6, target_domain="T1-weighted MR", modality="MR", anatomy="head",
        contrasts=8, adds_coarse=True, skips=True, blends=True, edge_power=1 / 3, deformed=1.0, mirrored=0.5,
    )  # fmt: skip


def fit(config: MEGANConfig, scale: int, descent: Descent) -> Path:
    """Train one scale's network by its L1 distance, from where `out` has it; the file that holds it.

    The networks of the scales below must be there.
    """
    config = config.model_copy(update={"batch_size": descent.patches, "dropout": descent.dropout})
    trainer = MEGANTrainer(config)
    for below in range(scale):
        trainer.cascade.levels[below].load_state_dict(trained(config, below))
    trainer.networks.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    level, saved = trainer.cascade.levels[scale], config.out / f"scale-{scale}.pt"
    optimisers, done = descent_of(level, RATE, VECTOR_RATE), 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        done = state["done"]
        level.load_state_dict(state["network"])
        for optimiser, own in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(own)
    examples = Examples(prepare_folder(config.data, config.cache, FAMILY.preparation(trainer)), config)
    while done < descent.iterations:
        for optimiser, rate in zip(optimisers, (RATE, VECTOR_RATE), strict=True):
            optimiser.param_groups[0]["lr"] = rate * share_of_rate(done, descent.iterations)
        source = trainer.source(done)
        losses = []
        for index in range(done * descent.examples, (done + 1) * descent.examples):
            real, conditions = example(examples, trainer.cascade, scale, index, OWN_COARSE)
            losses.append(descend(level, real, degraded(conditions, config, source), descent.squares, source))
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        done += 1
        if done % 50 == 0:
            told = f"scale {scale}: {done}/{descent.iterations} l1 {sum(losses) / len(losses):.4f}"
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {told}\n")
        if done % SAVE_EVERY == 0 or done == descent.iterations:
            kept = [optimiser.state_dict() for optimiser in optimisers]
            save(saved, {"done": done, "network": level.state_dict(), "optimisers": kept})
    return saved


def share_of_rate(done: int, iterations: int) -> float:
    """Of the next iteration."""
    return min(1, (done + 1) / WARM_UP) * max(0.05, min(1, 2 * (iterations - done) / iterations))


def descend(level: nn.Module, real: Tensor, seen: Tensor, squares: float, source: torch.Generator) -> float:
    """The gradient of one example's loss, added to what the parameters hold; its L1 distance. Convolutions go in
    bfloat16."""
    level.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=source)))  # for dropout
        with torch.autocast("cpu", torch.bfloat16):
            made = wide(level(seen))
    distance = F.l1_loss(made, real)
    (distance + squares * F.mse_loss(made, real)).backward()  # type: ignore[no-untyped-call]
    return distance.item()


def trained(config: MEGANConfig, scale: int) -> dict[str, Tensor]:
    """The network that `fit` left."""
    network: dict[str, Tensor] = torch.load(config.out / f"scale-{scale}.pt", weights_only=True)["network"]
    return network


def finish(config: MEGANConfig) -> Path:
    """The model's folder, of the networks that `fit` left, in float16."""
    trainer = MEGANTrainer(config)
    for scale, level in enumerate(trainer.cascade.levels):
        level.load_state_dict(trained(config, scale))
    folder = config.out / NAME
    export_tensors(folder, card(trainer), tensors_of({"cascade": trainer.cascade}, torch.float16))
    return folder


def card(trainer: MEGANTrainer) -> TranslatorCard:
    """The model's card; `export_tensors` adds the digest of the weights."""
    made = FAMILY.card(trainer, len(SOURCES))
    iterations = {name: descent.iterations for name, descent in zip(("lr", "hr_64", "hr_128"), DESCENTS, strict=True)}
    provenance = Provenance(
        origin="trained",
        sources=[f"{source.file}: {source.origin}" for source in SOURCES],
        licences=sorted({source.licence for source in SOURCES}),
        command="make translator-model DATA=<folder with the sources>",
        iterations=iterations,
        notes="Networks with the L1 distance of MEGAN's training and without its critics, on each scan's edges as they "
        "are and under eight random contrasts, which stand for other sequences. The weights that ship were trained in "
        "several sittings of so many iterations in all (docs/decisions/0047).",
    )
    told = {
        "title": "Demo: any MR of a head to T1-weighted, 128^3",
        "description": "A small MEGAN: draws the edges of a head scan, with or without skull, and paints them as "
        "T1-weighted MR. Trained on nine scans. Synthetic; not for diagnosis.",
        "licence": "Apache-2.0",
        "source_domains": ["T2-weighted MR", "FLAIR MR"],
        "provenance": provenance,
    }
    return made.model_copy(update=told)


def main() -> None:
    """Command line of `make translator-model`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=int, help="train the networks of one scale, and do not make the model")
    arguments = parser.parse_args()
    own = arguments.out / "sources"
    own.mkdir(parents=True, exist_ok=True)
    for source in SOURCES:  # whatever else lies in the folder is not trained on
        (own / source.file).unlink(missing_ok=True)
        (own / source.file).symlink_to((arguments.data / source.file).resolve())
    config = config_of(own, arguments.out)
    for scale in range(config.doublings + 1) if arguments.scale is None else [arguments.scale]:
        fit(config, scale, DESCENTS[scale])
    if arguments.scale is None:
        sys.stderr.write(f"{finish(config)}\n")


if __name__ == "__main__":
    main()
