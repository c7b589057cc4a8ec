"""The one table of families by name: here for all who list models, in load.py with what builds each."""

from collections.abc import Mapping

from model_store.card import CARD, AnyCard
from model_store.faults import FolderFault
from model_store.sizes.base import FamilySizes
from model_store.sizes.hagan import HAGANSizes
from model_store.sizes.megan import MEGANSizes
from model_store.sizes.onnx import ONNXSizes
from model_store.sizes.progressive import ProGANSizes, StyleGANSizes
from model_store.sizes.split_shuffle import SplitShuffleSizes
from model_store.sizes.stylegan3d import StyleGAN3DSizes

_FAMILIES: tuple[type[FamilySizes], ...] = (
    HAGANSizes,
    MEGANSizes,
    ONNXSizes,
    ProGANSizes,
    SplitShuffleSizes,
    StyleGANSizes,
    StyleGAN3DSizes,
)
FAMILIES: Mapping[str, type[FamilySizes]] = {sizes.family: sizes for sizes in _FAMILIES}


def sizes_of(card: AnyCard) -> FamilySizes:
    """The sizes in a card, by its family.

    Raises:
        FolderFault: a family that this version does not know, or a network that it does not have.
    """
    if card.family not in FAMILIES:
        raise FolderFault(f"{CARD} is of a family that this version does not know")
    return FAMILIES[card.family].of(card)
