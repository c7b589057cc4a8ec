"""What passes hold on CUDA, counted over tensors that have a device and no values: for torch's CUDA build, with or
without a card. Of the largest models, for which the estimates are made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from model_store.families.base import Served
from model_store.load import outline
from tests.support.models.tiny_models import write_tiny_hagan
from training.estimates.held_memory import Held

pytestmark = pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="torch is built without CUDA here")


def on_cuda(model: Served) -> None:
    """Moves a model without values, within a FakeTensorMode, where `to_empty` cannot swap its tensors."""
    for part in model.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            part.register_parameter(name, nn.Parameter(torch.empty_like(value, device="cuda:0"), requires_grad=False))
        for name, value in list(part.named_buffers(recurse=False)):
            part.register_buffer(name, torch.empty_like(value, device="cuda:0"))


@pytest.mark.parametrize("low_memory", [False, True])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_paper_sized_hagan_holds_no_more_than_its_estimate_and_fits_a_4_gb_card(
    tmp_path: Path, precision: Any, low_memory: bool
) -> None:
    card = write_tiny_hagan(tmp_path, "tiny")
    card = card.model_copy(
        update={
            "shape": (256, 256, 256),
            "network": {"width": 32},
            "latent": card.latent.model_copy(update={"z_dim": 1024, "w_dim": 1024}),
        }
    )
    model = outline(card, precision, low_memory)
    with FakeTensorMode(allow_non_fake_inputs=True):
        on_cuda(model)
        w, scan = torch.empty(1, 1, 1024), torch.empty(1, 1, 256, 256, 256)
        passes: dict[Any, Callable[[], torch.Tensor]] = {
            "synthesise": lambda: model.synthesise(w),
            "encode": lambda: model.encode(scan),
        }
        for task, make in passes.items():
            with torch.inference_mode(), Held("cuda") as held:
                made = make()
            assert (made.device.type, made.dtype) == ("cuda", torch.float32)
            assert 0.5 * model.work_bytes(task, card.shape) < held.peak <= 1.01 * model.work_bytes(task, card.shape)
            assert model.size_bytes + held.peak < 1.5e9
