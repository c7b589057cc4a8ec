"""Whether requests fit a model: each answers for itself against a card, and points at the field that does not fit."""

from contextlib import nullcontext

import pytest

from contract.errors import InvalidRequest
from contract.fit import class_index, followed_direction
from contract.requests import EditRequest, EncodeRequest, FitDirectionRequest, GenerateRequest
from model_store.card import DirectionCard, ModelCard, TruncationSpec
from tests.support.models.stylegan3d_pickles import generator
from tests.support.models.tiny_models import write_tiny_hagan
from tests.support.models.tiny_stylegan3d import write_stylegan3d


def _direction(card: ModelCard, **fields) -> dict:
    vector = [1.0] + [0.0] * (card.latent.z_dim - 1)
    base = {"name": "size", "method": "regression", "attribute": "volume", "vector": vector, "std": 1.0}
    base |= {"slope": 2.0, "intercept": 1.0, "r2": 0.9, "units": "ml", "model_sha256": card.sha256}
    return base | fields


@pytest.fixture
def plain(tmp_path):
    return write_tiny_hagan(tmp_path, "plain", encoder=False)


@pytest.fixture
def conditional(tmp_path):
    return write_tiny_hagan(tmp_path, "conditional", classes=("mild", "severe"))


def _generate(**fields) -> GenerateRequest:
    return GenerateRequest(model="m", **fields)


def _edit(edit: dict, source: dict | None = None, **fields) -> EditRequest:
    return EditRequest.model_validate({"model": "m", "source": source or {"seed": 1}, "edit": edit, **fields})


MOVE = {"op": "move", "direction": "d", "strengths": [1.0]}


@pytest.mark.parametrize(
    "request_",
    [
        _generate(seed=1),
        _generate(seed=1, truncation=1.8),
        _generate(latents=[[0.0] * 8]),
        _edit(MOVE, {"latent": [0.0] * 8}),
        _edit({"op": "interpolate", "target": {"seed": 3}, "steps": 2}, {"latent": [0.0] * 8}, truncation=2.0),
    ],
)
def test_requests_that_fit_the_card_pass(plain, request_):
    request_.check(plain)


@pytest.mark.parametrize(
    ("request_", "pointer"),
    [
        (_generate(latents=[[0.0] * 8, [0.0] * 7]), "/latents/1"),
        (_generate(latents=[[[0.0] * 8]]), "/latents/0"),
        (_generate(latents=[[0.0] * 8], latent_space="w"), "/latents/0"),
        (_generate(latents=[[0.0] * 8], truncation=1.0), "/truncation"),
        (_generate(seed=1, truncation=0.0), "/truncation"),
        (_generate(seed=1, class_label=0), "/class_label"),
        (_edit(MOVE, {"latent": [0.0] * 9}), "/source/latent"),
        (_edit({"op": "interpolate", "target": {"latent": [0.0]}, "steps": 2}), "/edit/target/latent"),
        (_edit({"op": "mix", "target": {"seed": 2}, "crossover": 1}), "/edit/op"),
        (_generate(seed=1, noise="random"), "/noise"),
        (_edit(MOVE, noise="random"), "/noise"),
        (
            FitDirectionRequest.model_validate(
                {"model": "m", "fit": {"method": "sefa", "name_prefix": "s", "count": 9}}
            ),
            "/count",
        ),
    ],
)
def test_requests_that_do_not_fit_the_card_point_at_the_field(plain, request_, pointer):
    with pytest.raises(InvalidRequest) as caught:
        request_.check(plain)
    assert caught.value.errors[0][0] == pointer


def test_a_sample_of_a_fit_with_a_wrong_latent_is_pointed_at(plain):
    samples = [{"source": {"seed": k}, "value": 1.0} for k in range(4)] + [{"source": {"latent": [0.0]}, "value": 1.0}]
    fit = {"method": "regression", "name": "n", "attribute": "a", "samples": samples}
    with pytest.raises(InvalidRequest) as caught:
        FitDirectionRequest.model_validate({"model": "m", "fit": fit}).check(plain)
    assert caught.value.errors[0][0] == "/samples/4/source/latent"


@pytest.mark.parametrize(("label", "index"), [("mild", 0), ("severe", 1), (0, 0), (1, 1)])
def test_a_class_is_an_index_or_a_name(conditional, label, index):
    assert class_index(conditional, label) == index
    _generate(seed=1, class_label=label).check(conditional)


@pytest.mark.parametrize("label", [None, "other", 2])
def test_a_conditional_model_lists_its_classes_when_none_fits(conditional, label):
    with pytest.raises(InvalidRequest, match="mild, severe") as caught:
        _generate(seed=1, class_label=label).check(conditional)
    assert caught.value.errors[0][0] == "/class_label"


def test_an_encode_needs_a_class_only_to_render(conditional):
    EncodeRequest(model="m").check(conditional)
    for fields in ({"reconstruct": True}, {"refine_steps": 1}):
        with pytest.raises(InvalidRequest, match="needs a class"):
            EncodeRequest(model="m", **fields).check(conditional)


def test_psi_lies_in_0_to_1_where_the_card_says_psi(plain):
    card = plain.model_copy(update={"truncation": TruncationSpec(kind="psi")})
    _generate(seed=1, truncation=0.0).check(card)
    with pytest.raises(InvalidRequest, match="psi"):
        _generate(seed=1, truncation=1.5).check(card)


@pytest.mark.parametrize("noise", [True, False])
def test_random_noise_is_for_a_style_model_that_has_noise_inputs(tmp_path, noise):
    card = write_stylegan3d(tmp_path, variables=generator(noise=noise))
    _generate(seed=1).check(card)
    with nullcontext() if noise else pytest.raises(InvalidRequest, match="no noise inputs"):
        _generate(seed=1, noise="random").check(card)


def test_a_direction_fits_its_own_weights_and_a_target_needs_a_regression(plain):
    target = _edit({"op": "target", "direction": "d", "values": [1.0]})
    own = DirectionCard(**_direction(plain))
    assert followed_direction(plain, target, lambda _: own) is own
    with pytest.raises(InvalidRequest, match="other weights"):
        followed_direction(plain, target, lambda _: DirectionCard(**_direction(plain, model_sha256="1")))
    sefa = DirectionCard(**_direction(plain, method="sefa", slope=None, intercept=None))
    assert followed_direction(plain, _edit(MOVE), lambda _: sefa) is sefa
    with pytest.raises(InvalidRequest, match="regression"):
        followed_direction(plain, target, lambda _: sefa)
    assert followed_direction(plain, _generate(seed=1), lambda _: pytest.fail("nothing is followed")) is None


def test_a_direction_that_predicts_a_logarithm_has_no_target_at_or_below_0(plain):
    logarithm = DirectionCard(**_direction(plain, transform="log"))
    target = _edit({"op": "target", "direction": "d", "values": [4.0, 0.0]})
    with pytest.raises(InvalidRequest) as refusal:
        followed_direction(plain, target, lambda _: logarithm)
    assert [pointer for pointer, _ in refusal.value.errors] == ["/edit/values/1"]
    assert followed_direction(plain, target, lambda _: DirectionCard(**_direction(plain))) is not None


@pytest.mark.parametrize(
    ("groups", "ridge", "is_taken"),
    [
        ([1, 1, 1, 2], 0.1, True),
        ([1, 1, 1, 1], 0.1, False),
        ([1, 1, 1, None], 0.1, True),
        ([1, 1, 2, 2], "cross-validation", False),
        ([1, 1, 2, None], "cross-validation", True),
    ],
)
def test_samples_of_too_few_groups_cannot_be_cross_validated(groups, ridge, is_taken):
    samples = [{"source": {"seed": k}, "value": float(k), "group": group} for k, group in enumerate(groups)]
    fit = {"method": "regression", "name": "n", "attribute": "a", "samples": samples, "ridge": ridge}
    with nullcontext() if is_taken else pytest.raises(ValueError, match="groups"):
        FitDirectionRequest.model_validate({"model": "m", "fit": fit})
