"""The lines of docs/onnx.md, run on small networks of each kind: what is imported makes the network's own volumes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model_store.importers.onnx import Meaning, import_onnx
from model_store.load import load
from model_store.networks.onnx import Session

ROOT = Path(__file__).parents[2]
KINDS = {
    "wgan": "generator = WGANGenerator()",
    "alpha-gan": "generator, encoder = AlphaGANGenerator(), AlphaGANEncoder()",
    "stylegan": "generator = StyleGenerator()",
}
BEFORE = "import torch\nfrom tests.support.models.foreign_generators import *\ntorch.manual_seed(0)\n"
AFTER = """
z = torch.randn(3, z_dim)
with torch.no_grad():
    volumes = torch.cat([generator(row[None]) for row in z])
    latents = encoder(volumes) if 'encoder' in vars() else None
torch.save([z, volumes, latents], 'own.pt')
"""


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "onnx.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "block"), list(zip(KINDS, blocks()[:-1], strict=True)), ids=list(KINDS))
def test_the_lines_of_the_docs_export_what_is_imported(tmp_path: Path, kind: str, block: str) -> None:
    assert len(block.splitlines()) == 3
    z_dim = int(re.findall(r"randn\(1, (\d+)\)", block)[0])
    program = "\n".join([BEFORE, KINDS[kind], block, f"z_dim = {z_dim}", AFTER])
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    encoder = tmp_path / "E.onnx"
    files = {"encoder": encoder if encoder.exists() else None}
    card = import_onnx("m", tmp_path / "G.onnx", tmp_path, Meaning("RAS"), **files)
    model = load(tmp_path / "m", card)
    z, volumes, latents = torch.load(tmp_path / "own.pt", weights_only=True)
    with torch.inference_mode():
        torch.testing.assert_close(model.synthesise(model.map(z)), volumes, rtol=0, atol=1e-4)
        if latents is not None:
            torch.testing.assert_close(model.encode(volumes)[:, 0], latents, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_norms_with_short_sums_come_nearer_to_their_true_values(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.GroupNorm(2, 4)).eval()
    volume = torch.randn(1, 4, 64, 64, 64) + 3
    true = encoder.double()(volume.double()).detach()
    encoder.float()

    def distance(name: str) -> float:
        torch.onnx.export(encoder, (volume,), tmp_path / name, dynamo=True, external_data=False)
        session = Session((tmp_path / name).read_bytes(), torch.device("cpu"), 1)
        made = session.run({session.inputs[0]: volume}, session.outputs[0])
        return float((made.double() - true).abs().max())

    plain = distance("plain.onnx")
    exec(blocks()[-1], {"torch": torch, "encoder": encoder})  # the lines of the docs
    assert distance("short.onnx") < min(2e-6, plain / 5)
