"""Any generator that came as an ONNX file, as it is served. Its files lie as bytes in the weight file."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model_store.card import ModelCard, Task
from model_store.families.base import ServedGenerator, expect, with_class
from model_store.faults import FolderFault
from model_store.loaded_model import Shape
from model_store.networks.onnx import EncoderGraph, GeneratorGraph, Session
from model_store.networks.onnx_graph import GraphRefused
from model_store.sizes.onnx import ONNXSizes


class ServedONNX(ServedGenerator):
    """z is its only latent space. w is (1, z_dim + number of classes): z beside the one-hot class.

    Precision and low memory are the file's own matter. It has no gradient, so that a latent is never refined.
    """

    sizes = ONNXSizes
    _graph: GeneratorGraph
    _encoder_graph: EncoderGraph

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card)
        self.network = ONNXSizes.of(card)
        self._place = torch.device("cpu")
        self.generator: Tensor
        self.encoder: Tensor
        for name, count in (("generator", self.network.generator_bytes), ("encoder", self.network.encoder_bytes)):
            if count is not None:
                self.register_buffer(name, torch.empty(count, dtype=torch.uint8))

    @property
    def device(self) -> torch.device:
        return self._place

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @property
    def size_bytes(self) -> int:
        return self.network.session_bytes

    def work_bytes(self, task: Task, shape: Shape) -> int:  # noqa: ARG002 -- the card's own
        """As the dry run of the import measured it."""
        return (self.network.encode_bytes if task == "encode" else None) or self.network.synthesise_bytes

    def settle(self) -> None:
        """The bytes to sessions of onnxruntime, on the device that the weights were brought to."""
        if self.generator.is_meta:  # an outline
            return
        card, self._place = self.card, self.generator.device
        sizes = card.latent.z_dim, card.shape
        try:
            self._graph = GeneratorGraph(self._session("generator"), sizes[0], len(card.classes), sizes[1])
            if card.has_encoder:
                self._encoder_graph = EncoderGraph(self._session("encoder"), *sizes)
        except GraphRefused as err:
            raise FolderFault(f"its ONNX file is not run: {err.detail}") from err

    def _session(self, name: str) -> Session:
        """Of a file whose bytes are let go."""
        data = self.get_buffer(name).cpu().numpy().tobytes()
        delattr(self, name)
        return Session(data, self._place, torch.get_num_threads())

    def map(self, z: Tensor, label: int | None = None) -> Tensor:
        """(n, z_dim) -> (n, 1, z_dim + classes): identity, with the class beside it."""
        expect(z, (self.card.latent.z_dim,), "latents")
        return with_class(z.to(self.device, torch.float32), label, len(self.card.classes))[:, None]

    def mean_style(self) -> Tensor:
        """(1, z_dim + classes): the mean of N(0, I)."""
        return torch.zeros(1, self.card.latent.z_dim + len(self.card.classes), device=self.device)

    def synthesise(self, w: Tensor, noise_seed: int | None = None) -> Tensor:  # noqa: ARG002 -- it has no noise
        """(n, 1, z_dim + classes) -> (n, 1, *card.shape) in the card's network range."""
        z_dim = self.card.latent.z_dim
        expect(w, (1, z_dim + len(self.card.classes)), "styles")
        volumes = [self._graph.volume(row[:z_dim], row[z_dim:]) for row in w[:, 0].detach().float().cpu()]
        return torch.stack(volumes)[:, None].to(self.device)

    def encode(self, volume: Tensor) -> Tensor:
        """(n, 1, *card.shape) -> z as (n, 1, z_dim)."""
        if not self.card.has_encoder:
            raise TypeError("this model has no encoder")
        expect(volume, (1, *self.card.shape), "volumes")
        latents = [self._encoder_graph.latent(sample[0]) for sample in volume.detach().float().cpu()]
        return torch.stack(latents)[:, None].to(self.device)

    def style_matrices(self) -> Sequence[Tensor]:
        raise TypeError("the layers of an ONNX network are not looked into")
