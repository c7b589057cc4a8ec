"""Makes the feature network `distortion` that ships: `make features-model DATA=folder` (docs/decisions/0048).

The folder holds the public scans of SOURCES under these names. A run that is stopped goes on where it was.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from model_store.card import WEIGHTS, Provenance
from model_store.features.distortion_network import CARD, DistortionResNet, FeatureCard
from model_store.folder import replacing
from model_store.integrity import sha256_of
from training.demo.distortion_examples import SIDE, DistortionExamples, Subject, head_subject, phantom_subjects
from training.demo.sources import Source
from training.engine.checkpoint import save
from training.engine.orthogonal import descent_of
from training.engine.precision import forward_here
from volumes.files import read
from volumes.reader_limits import LARGEST
from volumes.scan import Preparation
from volumes.two_files import as_one_file

ITERATIONS, BASES = 450, 4
"""Of so many whole volumes each, and three distortions of each of them."""
RATE, VECTOR_RATE = 0.02, 3e-3
"""Of orthogonalised momentum on weights, and of Adam on vectors."""
WARM_UP = 20
SAVE_EVERY = 50

WHOLE = (
    Source("seg3D_MR.nii.gz", "neurolabusc/VolumeRenderingData", "MIT"),
    Source("brainchop_t1_crop.nii.gz", "neuroneural/brainchop", "MIT"),
    Source("T1_head_ext2.nii.gz", "niivue/niivue-demo-images", "BSD-2-Clause"),
    Source("fnndsc_adi_brain_T1_from_dicom.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("dicom_half.zip", "TCIA Vestibular-Schwannoma-SEG", "CC-BY-4.0"),
)
STRIPPED = (
    Source("fnndsc_eun_uchar_8.nii.gz", "FNNDSC/data", "Apache-2.0"),
    Source("CIT168toMNI152-2009c_T1w_brain.nii.gz", "CIT168 atlas (Pauli 2018)", "CC-BY-4.0"),
    Source("mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", "ICBM 152 (Fonov 2011)", "ICBM notice"),
    Source("spm152.nii.gz", "ICBM 152, as SPM has it", "ICBM notice"),
)
SOURCES = WHOLE + STRIPPED


def heads(data: Path) -> list[Subject]:
    """The scans, whole field of view on a cube."""
    how = Preparation(shape=(SIDE,) * 3, axes="RAS", spacing_mm=(2.0, 2.0, 2.0), network_range=(0.0, 1.0))
    found = []
    for source in SOURCES:
        with as_one_file(data / source.file) as whole:
            found.append(head_subject(how.array(read(whole, LARGEST)), source in STRIPPED))
    return found


def fit(examples: DistortionExamples, out: Path, iterations: int = ITERATIONS, bases: int = BASES) -> DistortionResNet:
    """The trained network, from where `out` has it."""
    torch.manual_seed(0)
    network = DistortionResNet()
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimisers, done, saved = descent_of(network, RATE, VECTOR_RATE), 0, out / "run.pt"
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        done = state["done"]
        network.load_state_dict(state["network"])
        for optimiser, own in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(own)
    while done < iterations:
        share = min(1.0, (done + 1) / WARM_UP, max(0.02, 1.5 * (iterations - done) / iterations))
        for optimiser, rate in zip(optimisers, (RATE, VECTOR_RATE), strict=True):
            optimiser.param_groups[0]["lr"] = rate * share
        distance = descend(network, *examples.batch(done, bases))
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        done += 1
        if done % 10 == 0:
            told = f"{time.strftime('%H:%M:%S')} {done}/{iterations} squared distance {distance:.3f}"
            sys.stderr.write(f"{told} cpu {time.process_time():.0f} s\n")
        if done % SAVE_EVERY == 0 or done == iterations:
            kept = [optimiser.state_dict() for optimiser in optimisers]
            save(saved, {"done": done, "network": network.state_dict(), "optimisers": kept})
    return network


def descend(network: DistortionResNet, volumes: Tensor, wanted: Tensor) -> float:
    """The gradient of a batch; the mean squared distance of its features from where they should be."""
    network.train()
    with forward_here():
        found = network(volumes).float()
    loss = ((found - wanted) ** 2).sum(dim=1).mean()
    loss.backward()
    return float(loss.detach())


def finish(network: DistortionResNet, out: Path, iterations: int = ITERATIONS) -> Path:
    """The folder that ships: weights in float16, and their card."""
    folder = out / "distortion"
    folder.mkdir(exist_ok=True)
    tensors = {key: value.half().contiguous() for key, value in network.state_dict().items() if value.ndim}
    with replacing(folder / WEIGHTS) as partial:
        save_file(tensors, partial)
    made = FeatureCard(
        name="distortion",
        sha256=sha256_of(folder / WEIGHTS),
        licence="Apache-2.0",
        provenance=Provenance(
            origin="trained",
            sources=[*(f"{source.file}: {source.origin}" for source in SOURCES), "thorax phantoms of this project"],
            licences=sorted({source.licence for source in SOURCES}),
            command="make features-model DATA=<folder with the sources>",
            iterations={"descent": iterations},
            notes="Trained to say what was done to a volume and how much of it (docs/decisions/0048).",
        ),
    )
    (folder / CARD).write_text(made.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    """Command line of `make features-model`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    (arguments.out / "phantoms").mkdir(parents=True, exist_ok=True)
    examples = DistortionExamples(heads(arguments.data), phantom_subjects(arguments.out / "phantoms"))
    sys.stderr.write(f"{finish(fit(examples, arguments.out), arguments.out)}\n")


if __name__ == "__main__":
    main()
