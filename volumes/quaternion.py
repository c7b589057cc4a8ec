"""Quaternions of NIfTI's qform and the rotation matrices they stand for (nifti1.h, method 2).

Not nibabel's: uploads are judged in the front end, which imports none of it (docs/decisions/0010).
"""

import numpy as np

from volumes.volume import Affine, VolumeError


def rotation_of(quaternion: Affine) -> Affine:
    """(b, c, d) of a unit quaternion with a >= 0 -> rotation matrix (3, 3).

    Raises:
        VolumeError: not finite, or longer than a unit quaternion can be.
    """
    squares = float(np.sum(np.square(quaternion))) if (np.abs(quaternion) <= 2).all() else np.inf
    if not squares <= 1 + 1e-5:
        raise VolumeError("The header's rotation is not a unit quaternion.")
    b, c, d = (float(part) for part in (quaternion if squares <= 1 else quaternion / np.sqrt(squares)))
    a = float(np.sqrt(max(0.0, 1 - b * b - c * c - d * d)))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - c * c - b * b],
        ]
    )


def nearest_rotation(matrix: Affine) -> Affine:
    """The rotation nearest to a matrix (3, 3) with a positive determinant, by its polar decomposition."""
    left, _, right = np.linalg.svd(matrix)
    rotation: Affine = left @ right
    return rotation


def quaternion_of(rotation: Affine) -> Affine:
    """Rotation matrix (3, 3) -> (b, c, d) of its unit quaternion with a >= 0, by Bar-Itzhack's eigenvector (2000)."""
    m = rotation
    symmetric = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[2, 1] - m[1, 2]],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1], m[0, 2] - m[2, 0]],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, -1]  # (b, c, d, a)
    return quaternion[:3] * (-1.0 if quaternion[3] < 0 else 1.0)
