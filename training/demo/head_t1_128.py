"""Makes the translator head-t1-128, which is to ship: `make translator-model DATA=folder` (docs/decisions/0047).

The folder holds the public scans of SOURCES under these names. The networks of the scales learn apart from each other,
from the scans themselves: `--scale K` trains one, so that several processes can share the work, with the same result.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from model_store.card import Provenance, TranslatorCard
from training.demo.sources import Source
from training.engine.average import ParameterAverage
from training.engine.checkpoint import save
from training.engine.data import TrainingVolumes, prepare_folder
from training.engine.export import export_tensors, tensors_of
from training.megan.config import MEGANConfig
from training.megan.trainer import FAMILY, MEGANTrainer

NAME = "head-t1-128"
L1_WEIGHTS = (100.0, 30.0, 30.0)
"""Of each scale: LR, which has the least to go by, draws patterns of its own where its critic weighs more."""
SAVE_EVERY = 100
AVERAGED = 0.998
"""Share of the averaged weights that stays. They ship: each adversarial step leaves a pattern of its own."""


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
        data=data, out=out, name=NAME, iterations=4000, batch_size=4, lr_size=32, doublings=2, lr_width=16,
        lr_blocks=4, hr_width=16, hr_blocks=6, critic_width=32, target_domain="T1-weighted MR", modality="MR",
        anatomy="head", learning_rate=4e-4, contrasts=8, adds_coarse=True, deformed=0.8, mirrored=0.5,
    )  # fmt: skip


def fit(config: MEGANConfig, scale: int) -> Path:
    """Train one scale's networks, from where `out` has them; the file that holds them."""
    trainer = MEGANTrainer(config.model_copy(update={"l1_weight": L1_WEIGHTS[scale]}))
    trainer.networks.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    trainer.iteration, end = scale * config.iterations, (scale + 1) * config.iterations
    trainer.average = ParameterAverage(trainer.cascade.levels[scale], AVERAGED)
    saved = config.out / f"scale-{scale}.pt"
    if saved.exists():
        trainer.restore(torch.load(saved, weights_only=True))
    scans = prepare_folder(config.data, config.cache, FAMILY.preparation(trainer))
    batches = FAMILY.batches(trainer, TrainingVolumes(scans, config.seed), trainer.iteration, end)
    for losses in steps(trainer, batches):
        trainer.average.update()
        done = trainer.iteration - scale * config.iterations
        if done % 50 == 0:
            told = " ".join(f"{name} {float(loss):.4f}" for name, loss in losses.items())
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} scale {scale}: {done}/{config.iterations} {told}\n")
        if done % SAVE_EVERY == 0 or trainer.iteration == end:
            save(saved, trainer.state())
    return saved


def steps(trainer: MEGANTrainer, batches: Iterator[list[Tensor]]) -> Iterator[dict[str, Tensor]]:
    """The iterations, their convolutions in bfloat16."""
    for real, conditions in batches:
        with torch.autocast("cpu", torch.bfloat16):
            losses = trainer.step(real, conditions)
        yield losses


def finish(config: MEGANConfig) -> Path:
    """The model's folder, of the networks that `fit` left, in float16."""
    trainer = MEGANTrainer(config)
    for scale, level in enumerate(trainer.cascade.levels):
        average = ParameterAverage(level, AVERAGED)
        average.restore(torch.load(config.out / f"scale-{scale}.pt", weights_only=True)["average"])
        average.apply(level)
    folder = config.out / NAME
    export_tensors(folder, card(trainer), tensors_of({"cascade": trainer.cascade}, torch.float16))
    return folder


def card(trainer: MEGANTrainer) -> TranslatorCard:
    """The model's card; `export_tensors` adds the digest of the weights."""
    made = FAMILY.card(trainer, len(SOURCES))
    provenance = Provenance(
        origin="trained",
        sources=[f"{source.file}: {source.origin}" for source in SOURCES],
        licences=sorted({source.licence for source in SOURCES}),
        command="make translator-model DATA=<folder with the sources>",
        iterations=made.provenance.iterations,
        notes="MEGAN's training on each scan's edges as they are and under eight random contrasts, which stand for "
        "other sequences (docs/decisions/0047).",
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
        fit(config, scale)
    if arguments.scale is None:
        sys.stderr.write(f"{finish(config)}\n")


if __name__ == "__main__":
    main()
