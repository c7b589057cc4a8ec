"""Bodies of requests: JSON, in which numpy's arrays and scalars may stand anywhere."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.ArrayLike


def without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request body as JSON, in which numpy's arrays and scalars may stand anywhere."""
    return json.dumps(body, default=_plain, allow_nan=False).encode()


def _plain(value: Any) -> Any:
    """What json asks for where it does not know a type. Raises: TypeError."""
    if not hasattr(value, "tolist"):
        raise TypeError(f"a request cannot hold a {type(value).__name__}")
    return value.tolist()


def listed(vectors: Vectors | None) -> Any:
    """A vector alone is a list of one."""
    if vectors is None:
        return None
    array = np.asarray(vectors, dtype=np.float64)
    return (array[np.newaxis] if array.ndim == 1 else array).tolist()
