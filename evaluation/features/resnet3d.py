"""3D residual networks of bottleneck blocks (He et al. 2016), as others have trained them on medical volumes."""

from collections.abc import Sequence

from torch import Tensor, nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1^3, 3^3, 1^3 convolutions around a shortcut. The names are those of the published files."""

    def __init__(self, before: int, width: int, stride: int, dilation: int, is_projected: bool) -> None:
        super().__init__()
        after = width * EXPANSION
        self.conv1 = nn.Conv3d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(after)
        self.relu = nn.ReLU(inplace=True)
        shortcut = nn.Sequential(nn.Conv3d(before, after, 1, stride, bias=False), nn.BatchNorm3d(after))
        self.downsample = shortcut if is_projected else None

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, ...) -> (n, 4 width, ...)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        added: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return added


class ResNet3D(nn.Module):
    """MedicalNet's form (Chen et al. 2019): stem 7^3 of stride 2 and a maximum of stride 2; layers 3 and 4 are dilated
    by 2 and 4 instead of strided. Without the segmentation head that its files may also hold."""

    def __init__(self, blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(1, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        self.layer1 = layer_of(64, 64, blocks[0])
        self.layer2 = layer_of(256, 128, blocks[1], stride=2)
        self.layer3 = layer_of(512, 256, blocks[2], dilation=2)
        self.layer4 = layer_of(1024, 512, blocks[3], dilation=4)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, A0, A1, A2) -> (n, 2048): the mean over the last block's voxels, as HA-GAN's evaluation takes it."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean(dim=(2, 3, 4))


def layer_of(before: int, width: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    first = Bottleneck(before, width, stride, dilation, is_projected=True)
    rest = [Bottleneck(width * EXPANSION, width, 1, dilation, is_projected=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
