"""Makes the shipped model brain-demo-256: `make demo-model DATA=folder` (a warm start; see warmstart.py).

The folder holds the public scans of WHOLE and STRIPPED under these names. Everything else is fixed here, so that the
card's command is the whole recipe.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model_store.card import IntensitySpec, LatentSpec, ModelCard, PreprocessSpec, Provenance
from model_store.load import load
from training.demo.adversarial import adversarial
from training.demo.anatomy import LATENT_DIM
from training.demo.directions import write_directions
from training.demo.sources import Source
from training.demo.warm_start import Plan, Scans, Tell, WarmStart, each_once, lines, new_networks
from training.engine.export import export
from training.hagan.trainer import save
from volumes.files import read
from volumes.scan import Preparation, prepare

NAME, SIZE, WIDTH, SEED = "brain-demo-256", 256, 16, 0
AXES = "IAL"
BOX_MM = (200.0, 240.0, 208.0)
"""Along A0 (down from the vertex), A1 (front) and A2 (left)."""
SPACING_MM = (BOX_MM[0] / SIZE, BOX_MM[1] / SIZE, BOX_MM[2] / SIZE)


WHOLE = (
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("fnndsc_adi_brain_T1_from_dicom.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("niivue_otsu.nii.gz", "niivue/niivue", "BSD-2-Clause"),
)
STRIPPED = (
    Source("CIT168toMNI152-2009c_T1w_brain.nii.gz", "CIT168 atlas (Pauli et al. 2018)", "CC-BY-4.0"),
    Source("spm152.nii.gz", "ICBM152 average", "ICBM notice: use, copy, modify, distribute"),
    Source("fnndsc_eun_uchar_8.nii.gz", "FNNDSC/data", "Apache-2.0"),
)
PREPARATION = Preparation(shape=(SIZE, SIZE, SIZE), axes=AXES, spacing_mm=SPACING_MM, placement="head")


def read_scans(folder: Path) -> Scans:
    """The scans on the model's grid as uint8."""

    def prepared(source: Source) -> Tensor:
        unit = (torch.from_numpy(prepare(read(folder / source.file), PREPARATION).array) + 1) / 2
        return (unit * 255 + 0.5).to(torch.uint8)

    return Scans([prepared(s) for s in WHOLE], [prepared(s) for s in STRIPPED], BOX_MM)


def card_with(iterations: Mapping[str, int]) -> ModelCard:
    """The model's card; `export` adds the digest of the weights."""
    sources = [*WHOLE, *STRIPPED]
    return ModelCard(
        name=NAME,
        family="hagan",
        title="Demo: T1-weighted heads at 256^3",
        description="A small HA-GAN of whole heads in T1-weighted MR, to try the service with, trained on six scans: "
        "its samples vary in shape, position and contrast, not in the richness of a population. Synthetic; not for "
        "diagnosis.",
        modality="MR",
        anatomy="head",
        licence="Apache-2.0",
        shape=(SIZE, SIZE, SIZE),
        axes=AXES,
        spacing_mm=SPACING_MM,
        latent=LatentSpec(z_dim=LATENT_DIM, w_dim=LATENT_DIM),
        intensity=IntensitySpec(low=0, high=1000, units="a.u."),
        preprocess=PreprocessSpec(placement="head", quantiles=PREPARATION.quantiles),
        has_encoder=True,
        network={"width": WIDTH},
        provenance=Provenance(
            origin="trained",
            sources=[f"{source.file}: {source.origin}" for source in sources],
            licences=sorted({source.licence for source in sources}),
            command="make demo-model DATA=<folder with the sources>",
            iterations=dict(iterations),
            notes="Warm start by supervised pairs of latent and deformed scan (docs/decisions/0008), then a few of the "
            "paper's adversarial iterations. Each axis of z has a known meaning; skull-stripped scans lie 5 "
            "standard deviations out on the last one.",
        ),
    )


def make(data: Path, out: Path, plan: Plan, tell: Tell) -> Path:
    """Train the demo model from the scans in `data`; every phase that `out` already holds is not done again."""
    out.mkdir(parents=True, exist_ok=True)
    generator, encoder = new_networks(SIZE, WIDTH, SEED)
    networks = nn.ModuleDict({"generator": generator, "encoder": encoder})

    def tell_and_keep(phase: str, step: int, steps: int, loss: float) -> None:
        tell(phase, step, steps, loss)
        if step % 250 == 0:
            save(out / "latest.pt", {"networks": networks.state_dict()})  # to look at; a phase starts over

    scans = read_scans(data)
    warm = WarmStart(generator, encoder, scans, WIDTH, SEED + 1, tell_and_keep)
    phases: dict[str, Callable[[], None]] = {
        "low-16": lambda: warm.fit_low(3, plan.low[0]),
        "low-32": lambda: warm.fit_low(4, plan.low[1]),
        "low-64": lambda: warm.fit_low(5, plan.low[2]),
        "high": lambda: warm.fit_high(plan.high, joint=False),
        "joint": lambda: warm.fit_high(plan.joint, joint=True),
        "joint-again": lambda: warm.fit_high(plan.joint_again, joint=True),
        "encoder-high": lambda: warm.fit_encoder_high(plan.encoder_high),
        "encoder-ground": lambda: warm.fit_encoder_ground(plan.encoder_ground, plan.encoder_scans, plan.feature_scans),
        "adversarial": lambda: adversarial(
            generator, encoder, scans, WIDTH, plan.adversarial, out / "adversarial-state.pt", tell_and_keep
        ),
    }
    each_once(phases, out, networks, warm.source)
    steps = {
        "warm start low": sum(phase.steps for phase in plan.low),
        "warm start high": plan.high.steps + plan.joint.steps + plan.joint_again.steps,
        "encoder high": plan.encoder_high.steps,
        "encoder ground": plan.encoder_ground.steps + plan.encoder_scans.steps,
        "adversarial": plan.adversarial,
    }
    folder = out / NAME
    card = export(folder, card_with(steps), {"generator": generator, "encoder": encoder}, half=True)
    write_directions(folder, load(folder, card))
    return folder


def main() -> None:
    """Command line of `make demo-model`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    folder = make(arguments.data, arguments.out, Plan(), lines(50))
    sys.stderr.write(f"{folder}\n")


if __name__ == "__main__":
    main()
