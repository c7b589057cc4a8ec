"""Makes the shipped model brain-demo-256: `make demo-model DATA=folder` (auto_decoder.py, then warm_start.py).

The folder holds the public scans of WHOLE and STRIPPED under these names. Everything else is fixed here, so that the
card's command is the whole recipe.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from model_store.card import IntensitySpec, LatentSpec, ModelCard, PreprocessSpec, Provenance
from model_store.load import load
from training.demo.anatomy import LATENT_DIM
from training.demo.auto_decoder import AutoDecoder
from training.demo.directions import write_directions
from training.demo.sources import Source
from training.demo.warm_start import Plan, Scans, WarmStart, each_once, new_networks
from training.engine.export import export
from training.engine.processes import ALONE, Share, Tell, in_processes
from volumes.files import read
from volumes.scan import Preparation, prepare

NAME, SIZE, WIDTH, SEED = "brain-demo-256", 256, 16, 0
AXES = "IAL"
BOX_MM = (200.0, 240.0, 208.0)
"""Along A0 (down from the vertex), A1 (front) and A2 (left)."""
SPACING_MM = (BOX_MM[0] / SIZE, BOX_MM[1] / SIZE, BOX_MM[2] / SIZE)


WHOLE = (
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("niivue_otsu.nii.gz", "niivue/niivue", "BSD-2-Clause"),
    Source("brainchop_t1_crop.nii.gz", "neuroneural/brainchop", "MIT"),
    Source("ch2.nii.gz", "Colin 27, as MRIcron has it", "BSD-3-Clause; MNI notice: use, copy, modify, distribute"),
)
STRIPPED = (Source("fnndsc_eun_uchar_8.nii.gz", "FNNDSC/data", "Apache-2.0"),)
OTHERS = (
    Source("CIT168toMNI152-2009c_T1w_brain.nii.gz", "CIT168 atlas (Pauli et al. 2018)", "CC-BY-4.0"),
    Source("spm152.nii.gz", "ICBM152 average", "ICBM notice: use, copy, modify, distribute"),
)
"""What the encoder alone sees: without them it takes brains that it has not seen for whole heads."""
PREPARATION = Preparation(shape=(SIZE, SIZE, SIZE), axes=AXES, spacing_mm=SPACING_MM, placement="head")


def read_scans(folder: Path) -> Scans:
    """The scans on the model's grid as uint8."""

    def prepared(source: Source) -> Tensor:
        unit = (torch.from_numpy(prepare(read(folder / source.file), PREPARATION).array) + 1) / 2
        return (unit * 255 + 0.5).to(torch.uint8)

    whole, stripped, others = ([prepared(source) for source in group] for group in (WHOLE, STRIPPED, OTHERS))
    return Scans(whole, stripped, BOX_MM, others)


def card_with(iterations: Mapping[str, int]) -> ModelCard:
    """The model's card; `export` adds the digest of the weights."""
    return ModelCard(
        name=NAME,
        family="hagan",
        title="Demo: T1-weighted heads at 256^3",
        description="A small HA-GAN of heads in T1-weighted MR, to try the service with. It knows five scans by heart, "
        "four of whole heads: its samples are these four heads, larger or smaller, longer or shorter, brighter or "
        "darker, and no population. Synthetic; not for diagnosis.",
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
            sources=[
                *(f"{source.file}: {source.origin}" for source in (*WHOLE, *STRIPPED)),
                *(f"{source.file}: {source.origin} (the encoder)" for source in OTHERS),
            ],
            licences=sorted({source.licence for source in (*WHOLE, *STRIPPED, *OTHERS)}),
            command="make demo-model DATA=<folder with the sources>",
            iterations=dict(iterations),
            notes="Five public scans learned by heart, with a tangent for each of three deformations; the first layers "
            "set and solved (docs/decisions/0008); no adversarial training. Axes of z: size, length, brightness, head; "
            "from 2.5 on the last one lies the skull-stripped head. Two further scans taught the encoder alone.",
        ),
    )


def make(data: Path, out: Path, plan: Plan, tell: Tell, share: Share = ALONE) -> Path | None:
    """Train the demo model from the scans in `data`; every phase that `out` already holds is not done again.

    Processes share the generator's phases; the first one goes on alone and gives the model's folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    generator, encoder = new_networks(SIZE, WIDTH, SEED)
    scans = read_scans(data)
    heart = AutoDecoder(generator, scans, WIDTH, SEED, share, tell)
    parts = {"generator": generator, "codes": heart.codes, "readers": heart.readers}
    by_heart: dict[str, Callable[[], None]] = {
        "codes-coarse": lambda: heart.fit_codes("codes coarse", plan.codes_coarse, None, last=4),
        "codes": lambda: heart.fit_codes("codes", plan.codes, plan.grown, last=5),
        "codes-high": lambda: heart.fit_codes("codes high", plan.codes_high, (0, 0), last=5, high=True),
        "first-layers": heart.set_first_layers,
        "held": lambda: heart.fit_held(plan.held, plan.solved_latents),
        "high": lambda: heart.fit_high(plan.high),
        "high-milder": lambda: heart.fit_high(plan.high_milder, plan.milder),
    }
    each_once(by_heart, out, nn.ModuleDict(parts), heart.source, share)
    if share.rank > 0:
        return None
    torch.set_num_threads(max(share.processes, torch.get_num_threads()))
    warm = WarmStart(generator, encoder, scans, SEED + 1, tell)
    alone: dict[str, Callable[[], None]] = {
        "encoder-high": lambda: warm.fit_encoder_high(plan.encoder_high),
        "encoder-ground": lambda: warm.fit_encoder_ground(plan.encoder_ground, plan.encoder_scans, plan.feature_scans),
    }
    each_once(alone, out, nn.ModuleDict({"generator": generator, "encoder": encoder}), warm.source)
    folder = out / NAME
    card = export(folder, card_with(steps_of(plan)), {"generator": generator, "encoder": encoder}, half=True)
    write_directions(folder, load(folder, card))
    return folder


def steps_of(plan: Plan) -> dict[str, int]:
    """What the card says of the training."""
    return {
        "codes": plan.codes_coarse.steps + plan.codes.steps + plan.codes_high.steps,
        "held codes": plan.held.steps,
        "G^H and G^L": plan.high.steps + plan.high_milder.steps,
        "encoder high": plan.encoder_high.steps,
        "encoder ground": plan.encoder_ground.steps + plan.encoder_scans.steps,
    }


def shipped(data: Path, out: Path, tell: Tell, share: Share) -> Path | None:
    """The model that ships."""
    return make(data, out, Plan(), tell, share)


def main() -> None:
    """Command line of `make demo-model`."""
    in_processes(shipped, __doc__)


if __name__ == "__main__":
    main()
