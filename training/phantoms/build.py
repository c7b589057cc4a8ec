"""One person's proportions: everything random about a thorax phantom's shape, drawn once, in millimetres and HU."""

from dataclasses import dataclass, fields

import numpy as np

from training.phantoms.canvas import Field


@dataclass(frozen=True)
class Build:
    """Millimetres in RAS+ around the origin, where z = 0 is the height of the lungs' roots."""

    chest_width: float
    """Half width of the rib cage's inside at its widest."""
    chest_depth: float
    apex: float
    """Height of the lungs' tops."""
    dome_right: float
    dome_left: float
    fat: float
    """Thickness of the fat under the skin."""
    muscle: float
    heart: float
    """Scale of the heart."""
    heart_tilt: float
    mediastinum: float
    kyphosis: float
    rib_drop: float
    """How much lower a rib ends at the front."""
    rib_pitch: float
    rib_phase: float
    vertebra: float
    vertebra_phase: float
    marrow: float
    """HU of spongy bone."""
    lung: float
    """HU of healthy lung."""
    noise: float
    """HU of the scanner's noise, one standard deviation."""

    @classmethod
    def draw(cls, random: np.random.Generator) -> "Build":
        """A random adult."""
        return cls(**{field.name: float(random.uniform(*_RANGES[field.name])) for field in fields(cls)})

    def back(self, z: Field | float) -> Field:
        """y of the middle of the vertebral bodies."""
        return (
            np.float32(-0.66 * self.chest_depth)
            + np.float32(self.kyphosis) * (np.asarray(z, np.float32) / np.float32(100)) ** 2
        )

    def cage(self, z: Field) -> tuple[Field, Field, float]:
        """Half width and half depth of the rib cage's inside at height z, and y of its middle."""
        rise = np.clip((z + np.float32(10)) / np.float32(self.apex + 10), 0, 1.3)
        low = np.clip((-z - np.float32(90)) / np.float32(100), 0, 1)
        width = np.float32(self.chest_width) * (1 - np.float32(0.36) * rise**2 - np.float32(0.06) * low)
        depth = np.float32(self.chest_depth) * (1 - np.float32(0.40) * rise**2 - np.float32(0.05) * low)
        return width, depth, 5.0


_RANGES: dict[str, tuple[float, float]] = {
    "chest_width": (112, 132),
    "chest_depth": (84, 102),
    "apex": (104, 124),
    "dome_right": (-72, -48),
    "dome_left": (-86, -62),
    "fat": (6, 22),
    "muscle": (8, 13),
    "heart": (0.88, 1.12),
    "heart_tilt": (-0.12, 0.12),
    "mediastinum": (0.85, 1.2),
    "kyphosis": (2, 9),
    "rib_drop": (48, 72),
    "rib_pitch": (25, 29),
    "rib_phase": (-12, 12),
    "vertebra": (0.9, 1.1),
    "vertebra_phase": (0, 1),
    "marrow": (130, 260),
    "lung": (-870, -830),
    "noise": (10, 24),
}
