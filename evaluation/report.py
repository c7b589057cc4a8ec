"""report.json: what an evaluation says. Fields are added, never renamed within a `schema_version`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

REPORT, PAGE, FEATURES = "report.json", "report.html", "features.npz"


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(Part):
    """The middle 95% of a measure over draws without replacement, and its median."""

    n: int
    """Volumes a side."""
    low: float
    median: float
    high: float
    draws: int


class Estimate(Part):
    """One measure. `value` is null where a number would mean nothing, and `reason` says why."""

    value: float | None
    reason: str | None = None
    note: str | None = None
    interval: tuple[float, float] | None = None
    """95% by bootstrap, of means over independent volumes."""
    spread: Spread | None = None
    """By subsampling, of distances and neighbour measures: at half of the smaller set."""
    floor: Spread | None = None
    """The same measure between random halves of the reference: what real volumes get against real ones."""


class Frechet(Estimate):
    at_infinity: float | None = None
    """The straight line in 1 / n, at 1 / n = 0."""
    slope: float | None = None
    reduced: float | None = None
    """In the first `reduced_dimensions` principal components of the reference, of full rank."""
    reduced_dimensions: int | None = None


class Discrepancy(Estimate):
    biased: float | None = None
    bandwidth: float | None = None
    """s of the Gaussians exp(-|x - y|^2 / (2 (w s)^2)), w = 1/4, 1/2, 1, 2, 4."""
    p_value: float | None = None
    """By permutation: the chance of so large a value where both sets are of one distribution."""


class Neighbourhood(Estimate):
    k: int
    ceiling: float | None = None
    """What two sets of one distribution are expected to give."""


class PairSimilarity(Part):
    """Mean MS-SSIM of pairs within a set: the nearer to 1, the fewer kinds of volume."""

    generated: Estimate
    reference: Estimate
    pairs: int
    side: int


class VolumeScore(Part):
    name: str
    realism: float


class Realism(Part):
    """Kynkaanniemi et al. 2019: 1 and above is inside the reference's manifold."""

    k: int
    mean: Estimate
    share_inside: Estimate
    each: list[VolumeScore]


class NearestScan(Part):
    """Of one generated volume."""

    name: str
    nearest: str
    distance: float
    is_nearer: bool
    """Than that scan is to the scan nearest to it."""
    voxel_nearest: str
    voxel_correlation: float
    """Pearson's at 32 voxels a side, with the scan for which it is largest."""


class Memorisation(Part):
    among: Literal["train", "reference"]
    share_nearer: Estimate
    """Of generated volumes nearer to their scan than it is to its own nearest: about a half without memorisation where
    both sets are equally large, near 1 with copies."""
    share_below: Estimate
    """Of those nearer than `threshold`, of which 5% are expected."""
    threshold: float | None
    threshold_of: Literal["held-out scans", "the scans among each other"]
    each: list[NearestScan]


class VolumeDetail(Part):
    name: str
    detail: float


class Detail(Part):
    """Share of spectral power in structures of 4 to 12.5 mm."""

    generated: Estimate
    reference: Estimate
    of_reference: float | None
    """Median over median."""
    each: list[VolumeDetail]


class FeatureSet(Part):
    name: str
    sha256: str
    shape: tuple[int, int, int] | None
    """Grid that volumes are brought to; null: their own."""
    size: int


class Generated(Part):
    kind: Literal["model", "folder"]
    name: str
    sha256: str | None = None
    truncation: float | None = None
    class_label: int | str | None = None


class Counts(Part):
    reference: int
    generated: int
    train: int | None


class Preparation(Part):
    """How both sides came to one grid. RAS order."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    placement: str
    window: tuple[float, float] | None


class Report(Part):
    schema_version: Literal[1] = 1
    software_version: str
    torch_version: str
    seed: int
    generated: Generated
    counts: Counts
    preparation: Preparation
    features: FeatureSet
    fid: Frechet
    kid: Estimate
    mmd: Discrepancy
    precision: Neighbourhood
    recall: Neighbourhood
    density: Neighbourhood
    coverage: Neighbourhood
    ms_ssim_pairs: PairSimilarity
    inception_score: Estimate
    realism: Realism
    nearest: Memorisation
    detail: Detail
    warnings: list[str] = Field(default_factory=list)
