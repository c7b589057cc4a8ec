"""Makes the shipped model head-style-128: `make style-model DATA=folder` (docs/decisions/0022).

The folder holds the public scans of SOURCES and OTHERS under these names. Everything else is fixed here, so that the
card's command is the whole recipe; its phases are in style_start.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

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
from training.demo.style_anatomy import LATENT_DIM, Heads
from training.demo.style_start import Readers, StyleStart, blind
from training.demo.warm_start import Phase, Scans, each_once
from training.engine.export import export
from training.engine.processes import ALONE, Share, Tell, in_processes
from volumes.files import read
from volumes.scan import Preparation, prepare

NAME, SIZE, SEED = "head-style-128", 128, 0
AXES = "IAL"
BOX_MM = (200.0, 240.0, 208.0)
"""Along A0 (down from the vertex), A1 (front) and A2 (left)."""
BASE, CHANNELS, MAPPING_LAYERS = (16, 16, 16), [96, 32, 8], 6

SOURCES = (
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("niivue_otsu.nii.gz", "niivue/niivue", "BSD-2-Clause"),
    Source("ch2.nii.gz", "Colin 27, as MRIcron has it", "BSD-3-Clause; MNI notice: use, copy, modify, distribute"),
)
OTHERS = (Source("fnndsc_adi_brain_T1_from_dicom.nii.gz", "FNNDSC/data", "Apache-2.0"),)
"""What the encoder alone sees."""


class Plan(NamedTuple):
    """The phases in order, batches per process. The shipped model had them piece by piece (docs/decisions/0022)."""

    coarse: Phase = Phase(120, 1, 4e-3)
    """Up to stage 1, of heads as they are."""
    fine: Phase = Phase(420, 1, 2e-3)
    """Up to stage 2."""
    grown: tuple[int, int] = (120, 240)
    """Between which steps of `fine` shapes and lights grow, from none to all."""
    finer: Phase = Phase(620, 1, 8e-4)
    """The same again; at the rate of `fine` it would run away from where that ended."""
    image: Phase = Phase(240, 1, 2e-3)
    """Stage 3 alone."""
    whole: Phase = Phase(175, 1, 4e-4)
    mapping: Phase = Phase(12000, 512, 1e-2)
    encoder: Phase = Phase(80, 1, 2e-3)
    encoder_scans: int = 150
    """From how many scans in each process what follows its convolutions is solved."""
    decision: Phase = Phase(20000, 256, 1e-2)


def preparation(size: int) -> Preparation:
    """How a head comes to a grid of size^3."""
    spacing_mm = (BOX_MM[0] / size, BOX_MM[1] / size, BOX_MM[2] / size)
    return Preparation((size, size, size), AXES, spacing_mm, (0.0, 1.0), "head")


def read_heads(folder: Path) -> Heads:
    """The scans at twice the model's resolution."""
    how = preparation(2 * SIZE)

    def prepared(source: Source) -> Tensor:
        return (torch.from_numpy(prepare(read(folder / source.file), how).array) * 255 + 0.5).to(torch.uint8)

    whole, others = ([prepared(source) for source in group] for group in (SOURCES, OTHERS))
    return Heads(Scans(whole, [], BOX_MM, others))


def new_networks(heads: Heads) -> nn.ModuleDict:
    """Randomly initialised mapping, synthesis, encoder and readers."""
    torch.manual_seed(SEED)
    made = nn.ModuleDict(
        {
            "mapping": MappingNetwork(LATENT_DIM, heads.w_dim, MAPPING_LAYERS),
            "synthesis": SynthesisNetwork(BASE, CHANNELS, heads.w_dim),
            "encoder": ReversedEncoder(BASE, CHANNELS, heads.w_dim, ServedStyleGAN.encoder_dense),
            "readers": Readers(CHANNELS),
        }
    )
    blind(made["synthesis"], heads.geometry)  # type: ignore[arg-type]
    return made


def make(heads: Heads, out: Path, plan: Plan, tell: Tell, share: Share = ALONE) -> Path | None:
    """Train the model; every phase that `out` already holds is not done again.

    Processes share the phases but the mapping's; the first one gives the model's folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    networks = new_networks(heads)
    learner = StyleStart(networks, heads, SEED + 1, share, tell)
    phases: dict[str, Callable[[], None]] = {
        "coarse": lambda: learner.fit_stage("coarse", 1, plan.coarse, None),
        "fine": lambda: learner.fit_stage("fine", 2, plan.fine, plan.grown),
        "finer": lambda: learner.fit_stage("finer", 2, plan.finer, (0, 0)),
        "image": lambda: learner.fit_image("image", plan.image, alone=True),
        "whole": lambda: learner.fit_image("whole", plan.whole, alone=False),
        "mapping": lambda: learner.fit_mapping(plan.mapping),
        "encoder": lambda: learner.fit_encoder(plan.encoder),
        "encoder-solved": lambda: learner.solve_encoder(plan.encoder_scans),
        "decision": lambda: learner.fit_decision(plan.decision),
    }
    each_once(phases, out, networks, learner.source, share)
    if share.rank > 0:
        return None
    del networks["readers"]
    export(out / NAME, card_with(steps_of(plan), heads.w_dim), dict(networks.items()), half=True)
    return out / NAME


def steps_of(plan: Plan) -> dict[str, int]:
    """What the card says of the training."""
    supervised = sum(phase.steps for phase in (plan.coarse, plan.fine, plan.finer, plan.image, plan.whole))
    return {
        "supervised start": supervised,
        "mapping": plan.mapping.steps,
        "encoder": plan.encoder.steps,
        "encoder's dense layers": plan.decision.steps,
    }


def card_with(iterations: dict[str, int], w_dim: int) -> ModelCard:
    """The model's card; `export` adds the digest of the weights."""
    how, sources = preparation(SIZE), [*SOURCES, *OTHERS]
    return ModelCard(
        name=NAME,
        family="stylegan",
        title="Demo: styles of T1-weighted heads at 128^3",
        description="A small 3D-StyleGAN of whole heads in T1-weighted MR, to try style mixing and truncation with. It "
        "knows three scans by heart: its samples are these three heads, larger or smaller, longer or shorter, in other "
        "greys, and no population. Synthetic; not for diagnosis.",
        modality="MR",
        anatomy="head",
        licence="Apache-2.0",
        shape=how.shape,
        axes=AXES,
        spacing_mm=how.spacing_mm,
        latent=LatentSpec(
            z_dim=LATENT_DIM, w_dim=w_dim, num_styles=STYLES_PER_STAGE * len(CHANNELS), has_style_space=True
        ),
        truncation=TruncationSpec(kind="psi", default=None),
        intensity=IntensitySpec(low=0, high=1000, units="a.u.", network_range=how.network_range),
        preprocess=PreprocessSpec(placement="head", quantiles=how.quantiles),
        has_encoder=True,
        network={"base": list(BASE), "channels": CHANNELS, "mapping_layers": MAPPING_LAYERS},
        provenance=Provenance(
            origin="trained",
            sources=[f"{source.file}: {source.origin}" for source in sources],
            licences=sorted({source.licence for source in sources}),
            command="make style-model DATA=<folder with the sources>",
            iterations=iterations,
            notes="Three public scans learned by heart from pairs of w and deformed scan (docs/decisions/0022): the "
            "first five styles carry geometry and the others appearance. A further scan taught the encoder alone. No "
            "adversarial training, and the noise has no strength.",
        ),
    )


def shipped(data: Path, out: Path, tell: Tell, share: Share) -> Path | None:
    """The model that ships."""
    return make(read_heads(data), out, Plan(), tell, share)


def main() -> None:
    """Command line of `make style-model`."""
    in_processes(shipped, __doc__)


if __name__ == "__main__":
    main()
