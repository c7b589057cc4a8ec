"""Cards: all that is known of a trained model. ModelCard is a generator's, TranslatorCard a translator's. No torch."""

import hashlib
from abc import abstractmethod
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

Triple = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]

CARD = "card.json"
WEIGHTS = "weights.safetensors"
"""The two files that each model's folder has."""
REFERENCE = "reference.safetensors"
"""Of a model that scores its volumes: features of its scans."""
Verb = Literal["generate", "encode", "edit", "translate"]
"""What can be asked of a model: the kinds of job that make or read volumes."""
Task = Literal["synthesise", "encode", "refine", "translate"]
"""What a network is asked for: a volume of a latent, a latent, a volume with the gradient of its latent, or a volume of
a scan."""

CardName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_-]|\.[a-z0-9_-])*$", max_length=64)]
"""What a request can name (contract.requests)."""
NAME_RULE = "a model's name has 1 to 64 of a-z, 0-9, '.', '_', '-', begins with a letter or digit, no '..', no '.' last"
WEIGHTS = "weights.safetensors"
"""The file of a model's tensors."""
FEWEST_LEVELS = 16
"""Whole numbers in the intensity range of a new model. Volumes are stored as whole numbers where nothing else is asked
for; of [0, 1] they would keep a mask."""

Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


def is_name(text: str) -> bool:
    """Whether a model or a direction can be called so."""
    try:
        TypeAdapter(CardName).validate_python(text)
    except ValidationError:
        return False
    return True


def spans_space(axes: str) -> bool:
    """Whether three letters name one direction of each pair R/L, A/P, S/I."""
    return sorted("RLAPSI".find(letter) // 2 for letter in axes) == [0, 1, 2]


class CardPart(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_serialization_defaults_required=True)


class LatentSpec(CardPart):
    """Sizes of the latent spaces: z is (z_dim,), w is (num_styles, w_dim). Without a style space w is z."""

    z_dim: Annotated[int, Field(ge=1)]
    w_dim: Annotated[int, Field(ge=1)]
    num_styles: Annotated[int, Field(ge=1)] = 1
    has_style_space: bool = False


class TruncationSpec(CardPart):
    """psi: toward the mean style, in [0, 1]. normal: the level > 0 at which z's normal distribution is cut."""

    kind: Literal["psi", "normal"] = "normal"
    default: float | None = None
    cutoff: Annotated[int, Field(ge=1)] | None = None
    """psi acts on the first `cutoff` styles, the coarse ones; None: on all."""

    @model_validator(mode="after")
    def _sound(self) -> "TruncationSpec":
        if self.kind == "normal" and self.cutoff is not None:
            raise ValueError("a cutoff belongs to psi")
        return self


class IntensitySpec(CardPart):
    """Stored units of the model: network_range maps linearly to [low, high]."""

    low: float
    high: float
    units: str
    """"HU" for CT, "a.u." for MR."""
    network_range: tuple[float, float] = (-1.0, 1.0)

    @model_validator(mode="after")
    def _ordered(self) -> "IntensitySpec":
        if not (self.low < self.high and self.network_range[0] < self.network_range[1]):
            raise ValueError("intensity needs low < high")
        return self


class PreprocessSpec(CardPart):
    """How a scan is brought to the model's grid and range; the training data went the same way."""

    placement: Literal["stretch", "head"] = "stretch"
    """stretch: the whole field of view becomes the model's grid (HA-GAN's preprocessing; aspect is lost and restored on
    the way back). head: the grid's own millimetres, placed at the vertex (top) and lateral centre of the head."""
    extent_mm: tuple[Millimetres, Millimetres, Millimetres] = (None, None, None)
    """Along A0, A1, A2 what of the field of view is stretched: cut at both ends alike, or filled up with background.
    None: all of it. With the placement stretch alone."""
    trim_blank_slices: bool = False
    """Leave out blank axial slices at both ends (HA-GAN's preprocessing)."""
    window: tuple[float, float] | None = None
    """[low, high] in the scan's stored units; None takes quantiles of the scan itself."""
    quantiles: tuple[float, float] = (0.0, 0.997)

    @model_validator(mode="after")
    def _sound(self) -> "PreprocessSpec":
        if self.placement != "stretch" and any(self.extent_mm):
            raise ValueError("an extent belongs to the placement stretch")
        return self


class Provenance(CardPart):
    """Where the weights come from."""

    origin: Literal["trained", "imported"]
    sources: list[str] = Field(default_factory=list)
    licences: list[str] = Field(default_factory=list)
    command: str = ""
    iterations: dict[str, int] = Field(default_factory=dict)
    notes: str = ""
    software_version: str = ""
    original_sha256: dict[str, str] = Field(default_factory=dict)


class AnyCard(CardPart):
    """What card.json says of any model. Axes are the network's own (A0, A1, A2)."""

    schema_version: Literal[1] = 1
    name: CardName
    family: str
    title: str = ""
    description: str = ""
    modality: str
    anatomy: str = ""
    licence: str = ""
    axes: Annotated[str, Field(pattern=r"^[RLAPSI]{3}$")]
    """Anatomical direction in which each network axis increases, as nibabel's axis codes: "IAL" is A0 downward."""
    intensity: IntensitySpec
    display_window: tuple[float, float] | None = None
    """Window for previews and cal_min/cal_max in stored units; None takes the intensity range."""
    network: dict[str, Any] = Field(default_factory=dict)
    """Sizes of the family's networks (width, ...): model_store/sizes says which each family has."""
    files: dict[str, str] = Field(default_factory=dict)
    """File name -> sha256; the weights are always among them."""
    provenance: Provenance

    @property
    @abstractmethod
    def verbs(self) -> tuple[Verb, ...]:
        """What can be asked of the model."""

    @property
    def abilities(self) -> dict[str, Any]:
        """What is shown beside the card: what can be asked of the model, by the names of the answer's fields."""
        return {"verbs": list(self.verbs)}

    @property
    def sha256(self) -> str:
        """The model's digest: that of its weights file."""
        return self.files[WEIGHTS]

    @property
    def fingerprint(self) -> str:
        """Digest of the whole card, and so of the files it lists: two processes know by it that they mean one model."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @property
    def window(self) -> tuple[float, float]:
        """Display window in stored units."""
        return self.display_window or (self.intensity.low, self.intensity.high)


class ModelCard(AnyCard):
    """Of a generator: it makes volumes of latents, all on one grid. Shape and spacing are in the network's order."""

    shape: Triple
    spacing_mm: tuple[float, float, float]
    """Voxel size along A0, A1, A2; nominal where the training data's own spacing was lost."""
    spacing_is_nominal: bool = False
    latent: LatentSpec
    truncation: TruncationSpec = TruncationSpec()
    preprocess: PreprocessSpec = PreprocessSpec()
    classes: list[str] = Field(default_factory=list)
    has_encoder: bool = False
    """Without one a scan's latent is found by descent alone."""

    @property
    def has_reference(self) -> bool:
        """Whether its volumes can be held against scans: their realism, and the nearest scan."""
        return REFERENCE in self.files

    @property
    def is_open(self) -> bool:
        """Whether its layers can be looked into and have a gradient: what SeFa, mixing and descent need."""
        return True

    @property
    def abilities(self) -> dict[str, Any]:
        return {**super().abilities, "is_open": self.is_open, "has_reference": self.has_reference}

    @property
    def verbs(self) -> tuple[Verb, ...]:
        return ("generate", "encode", "edit")


class TranslatorCard(AnyCard):
    """Of a translator: it makes one volume of a scan, on the scan's own grid, and has no latent."""

    source_domains: list[str] = Field(default_factory=list)
    """What may come in: "T2-weighted MR", "CT, sharp kernel"; empty where any scan may."""
    target_domain: str
    """What comes out."""
    grid: Literal["scan", "cube"] = "scan"
    """The networks' own grid where a request names none: in the scan's proportions, or stretched to a cube. The result
    lies on the scan's grid either way."""
    input_window: tuple[float, float] | None = None
    """[low, high] in the scan's stored units; None takes the least and the largest value of the scan itself."""

    @property
    def verbs(self) -> tuple[Verb, ...]:
        return ("translate",)


class DirectionCard(CardPart):
    """A named latent direction as stored: directions/<name>.json, shipped with a model or fitted later."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: CardName
    method: Literal["regression", "sefa"]
    attribute: str = ""
    space: Literal["z", "w"] = "z"
    """w: the vector is added to every style alike; a point of w is then the mean of its rows."""
    vector: Annotated[list[float], Field(min_length=1)]
    """Unit length."""
    std: Annotated[float, Field(gt=0)]
    """Standard deviation of latents along the vector: the unit of a move's strength."""
    slope: float | None = None
    intercept: float | None = None
    """A regression predicts slope * <point, vector> + intercept: the attribute, or its logarithm by `transform`."""
    transform: Literal["none", "log"] = "none"
    """Of the attribute before it was regressed."""
    ridge: Annotated[float, Field(ge=0)] | None = None
    """Of the regression."""
    groups: Annotated[int, Field(ge=2)] | None = None
    """How many groups of samples, such as subjects, were kept together in cross-validation."""
    r2: float | None = None
    """On held-out samples, of the transformed attribute."""
    unit_rows: bool = False
    """Of SeFa: whether the rows of the weights were scaled to length 1."""
    units: str = ""
    model_sha256: str

    @model_validator(mode="after")
    def _unit_length(self) -> "DirectionCard":
        if abs(sum(x * x for x in self.vector) - 1) > 1e-3:
            raise ValueError("vector must have unit length")
        if self.method == "regression" and not (self.slope and self.intercept is not None):
            raise ValueError("a regression direction has a slope other than 0 and an intercept")
        return self

    def fits(self, card: AnyCard) -> bool:
        """Whether it was made for exactly these weights, and has the length of a space that the model has."""
        if not isinstance(card, ModelCard):
            return False
        sizes = card.latent
        lengths = {"z": sizes.z_dim, "w": sizes.w_dim if sizes.has_style_space else None}
        return self.model_sha256 == card.sha256 and len(self.vector) == lengths[self.space]
