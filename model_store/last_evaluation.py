"""evaluation.json: what `voxelsmith evaluate --attach` leaves in a model's folder of its last report. No torch."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

EVALUATION = "evaluation.json"
EVALUATION_LIMIT_BYTES = 64 * 2**10


class EvaluationPart(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, json_schema_serialization_defaults_required=True
    )


class Measured(EvaluationPart):
    """One figure of the report, or the reason why there is none."""

    value: float | None
    floor: float | None = None
    """What real scans get against real ones."""
    reason: str | None = None


class LastEvaluation(EvaluationPart):
    """The headline of a model's report: docs/evaluation.md says what each figure means."""

    model_sha256: str
    """Of the weights that were judged."""
    software_version: str
    seed: int
    truncation: float | None
    reference: int
    """How many scans."""
    generated: int
    train: int | None
    features: str
    features_sha256: str
    measures: dict[str, Measured] = Field(max_length=64)


def parse_evaluation(data: bytes, model_sha256: str) -> LastEvaluation | None:
    """That of exactly these weights; a stale or malformed one is none."""
    try:
        found = LastEvaluation.model_validate_json(data)
    except ValidationError:
        return None
    return found if found.model_sha256 == model_sha256 else None
