"""Makes the translator head-t1-128, which ships: `make translator-model DATA=folder` (docs/decisions/0047).

The folder holds the public scans of SOURCES under these names. The networks of the scales learn apart from each other,
from the scans themselves: `--scale K` trains one, so that several processes can share the work, with the same result.
"""

import argparse
import sys
import time
from functools import partial
from pathlib import Path

import torch

from model_store.card import Provenance, TranslatorCard
from training.demo.sources import Source
from training.engine.export import export_tensors, tensors_of
from training.engine.precision import precision_here
from training.megan.by_distance import Descent, fit, with_trained
from training.megan.config import MEGANConfig
from training.megan.trainer import FAMILY, MEGANTrainer

NAME = "head-t1-128"
DESCENTS = (Descent(3400, 2, squares=13.0, dropout=0.1), Descent(4400, 1, patches=8), Descent(2650, 1, patches=12))
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
        precision=precision_here(),
    )  # fmt: skip


def finish(config: MEGANConfig) -> Path:
    """The model's folder, of the networks that `fit` left, in float16."""
    trainer = with_trained(config)
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


def told(scale: int, done: int, l1: float) -> None:
    """A line now and then."""
    if done % 50 == 0:
        line = f"scale {scale}: {done}/{DESCENTS[scale].iterations} l1 {l1:.4f}"
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")


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
        fit(config, scale, DESCENTS[scale], partial(told, scale))
    if arguments.scale is None:
        sys.stderr.write(f"{finish(config)}\n")


if __name__ == "__main__":
    main()
