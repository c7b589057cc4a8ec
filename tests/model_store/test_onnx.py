"""ONNX files: what is refused before it is run, what a dry run finds, and that what is served is the same network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from model_store.card import ModelCard
from model_store.catalogue import Catalogue
from model_store.faults import FolderFault
from model_store.importers import onnx_weights
from model_store.importers.jail import ImportRefused, Limits
from model_store.importers.onnx import Meaning, import_onnx
from model_store.load import load
from model_store.networks.onnx import EncoderGraph, GeneratorGraph, Session
from model_store.networks.onnx_graph import GraphRefused, check_graph
from tests.support.models.tiny_models import write_card, write_tiny_hagan
from tests.support.models.tiny_onnx import Graph, hagan, linear, sealed, write_onnx

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
SHAPE = (3, 4, 5)


def info(name: str, kind: int = FLOAT, sides: Any = ("N", 8)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, sides)


def single(operator: str, domain: str = "", **attributes: Any) -> bytes:
    node = helper.make_node(operator, ["noise"], ["y"], domain=domain, **attributes)
    return sealed([node], [info("noise")], [info("y")])


def endless() -> onnx.NodeProto:
    """A loop whose condition stays true."""
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["x", "x"], ["x2"])]
    inputs = [info("k", INT64, ()), info("go", TensorProto.BOOL, ()), info("x")]
    body = helper.make_graph(nodes, "body", inputs, [info("on", TensorProto.BOOL, ()), info("x2")])
    return helper.make_node("Loop", ["", "true", "noise"], ["y"], body=body)


def true() -> onnx.TensorProto:
    return helper.make_tensor("true", TensorProto.BOOL, [], [True])


def loop() -> bytes:
    return sealed([endless()], [info("noise")], [info("y")], [true()])


def hidden_loop() -> bytes:
    """Within a branch, where it is not seen at first."""
    branch = helper.make_graph([endless()], "branch", [], [info("y")])
    node = helper.make_node("If", ["true"], ["out"], then_branch=branch, else_branch=branch)
    return sealed([node], [info("noise")], [info("out")], [true()])


def external(place: str) -> bytes:
    tensor = helper.make_tensor("w", FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    node = helper.make_node("Mul", ["noise", "w"], ["y"])
    return sealed([node], [info("noise")], [info("y")], [tensor])


def with_function() -> bytes:
    function = helper.make_function(
        "mine", "F", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], [helper.make_opsetid("", 21)]
    )
    return sealed([helper.make_node("Neg", ["noise"], ["y"])], [info("noise")], [info("y")], functions=[function])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (loop(), "a loop"),
        (hidden_loop(), "a loop"),
        (loop()[:-40] + hidden_loop(), "damaged|a loop"),
        (external("weights.bin"), "in another file"),
        (external("/etc/passwd"), "in another file"),
        (single("Fancy", "com.example"), "of its own"),
        (single("Gelu", "com.microsoft"), "of its own"),
        (with_function(), "of its own"),
        (single("RandomNormalLike"), "random numbers"),
        (linear(8, SHAPE)[:-3], "damaged"),
        (linear(8, SHAPE) + b"\xa2\x01\x00", "a training"),
        (linear(8, SHAPE) + b"\xf2\x3f\x01x", "not known here"),
        (linear(8, SHAPE) + b"\x0b", "damaged"),
        (b"", "no ONNX file"),
        (b"\x80\x02not a model", "no ONNX file|not known here"),
    ],
    ids=[
        *("loop", "hidden loop", "cut loop", "external", "absolute", "domain", "microsoft", "function", "random"),
        *("cut", "training", "unknown field", "group", "empty", "pickle"),
    ],
)
def test_what_could_do_harm_is_refused_unread(data: bytes, reason: str) -> None:
    with pytest.raises(GraphRefused, match=reason):
        check_graph(data)


def test_a_second_graph_in_the_file_is_judged_too() -> None:
    """Parsers of protobuf join messages that come twice; so no loop hides behind a sound graph."""
    with pytest.raises(GraphRefused, match="a loop"):
        check_graph(linear(8, SHAPE) + loop())


def test_graphs_within_graphs_end_somewhere() -> None:
    graph = helper.make_graph([helper.make_node("Neg", ["noise"], ["y"])], "g", [], [info("y")])
    for _ in range(12):
        node = helper.make_node("If", ["true"], ["y"], then_branch=graph)
        graph = helper.make_graph([node], "g", [], [info("y")])
    with pytest.raises(GraphRefused, match="within graphs"):
        check_graph(sealed(graph.node, [info("noise")], [info("y")], [true()]))


def session(data: bytes) -> Session:
    return Session(data, torch.device("cpu"), 1)


@pytest.mark.parametrize("sides", [("N", 8), (1, 8), ("N", 8, 1, 1, 1), ("N", "z"), (1, 2, 4), (1, "z", 2)])
def test_z_may_have_other_sides(sides: Any) -> None:
    graph = GeneratorGraph(session(linear(8, SHAPE, sides)), 8, 0, SHAPE)
    plain = GeneratorGraph(session(linear(8, SHAPE)), 8, 0, SHAPE)
    z = torch.arange(8.0) / 8
    assert torch.equal(graph.volume(z, torch.empty(0)), plain.volume(z, torch.empty(0)))


@pytest.mark.parametrize(
    ("z_dim", "classes", "shape", "sides", "told"),
    [
        (9, 0, SHAPE, (), "None of the file's inputs takes a z of 9 numbers; it has noise float (N, 8)."),
        (8, 0, SHAPE, (2, 8), "it has noise float (2, 8)."),
        (8, 2, SHAPE, (), "A model with 2 classes takes a z and a class; it has noise float (N, 8)."),
        (8, 0, (3, 5, 4), (), "can be a volume of 3 x 5 x 4; it has Reshape"),
    ],
)
def test_another_network_is_refused_with_what_it_has(
    z_dim: int, classes: int, shape: Any, sides: Any, told: str
) -> None:
    with pytest.raises(GraphRefused) as refused:
        GeneratorGraph(session(linear(8, SHAPE, sides)), z_dim, classes, shape)
    assert told in refused.value.detail


def one_hot_generator() -> bytes:
    draw = Graph()
    joined = draw.node("Concat", "z", "c", axis=1)
    matrix = draw.weight(np.random.default_rng(0).standard_normal((10, 60)).astype(np.float32))
    made = draw.node("Reshape", draw.node("MatMul", joined, matrix), draw.weight(np.array([-1, *SHAPE, 1])))
    return draw.file({"c": (FLOAT, ("N", 2)), "z": (FLOAT, ("N", 8))}, made, ("N", *SHAPE, 1))


def test_a_class_may_be_one_hot_and_a_channel_last() -> None:
    graph = GeneratorGraph(session(one_hot_generator()), 8, 2, SHAPE)
    first, second = (graph.volume(torch.ones(8), one_hot) for one_hot in torch.eye(2))
    assert first.shape == SHAPE
    assert not torch.equal(first, second)


def test_an_encoder_gives_one_latent_or_is_refused_with_what_it_has() -> None:
    draw = Graph()
    flat = draw.node("Flatten", "scan")
    mean, deviation = (
        draw.node("MatMul", flat, draw.weight(np.ones((60, 8), dtype=np.float32) * scale)) for scale in (0.1, 0.2)
    )
    data = draw.file({"scan": (FLOAT, ("N", 1, *SHAPE))}, mean, ("N", 8))
    latent = EncoderGraph(session(data), 8, SHAPE).latent(torch.ones(SHAPE))
    torch.testing.assert_close(latent, torch.full((8,), 6.0))
    with pytest.raises(
        GraphRefused, match=r"takes a volume of 3 x 5 x 4 and nothing else; it has scan float \(N, 1, 3, 4, 5\)"
    ):
        EncoderGraph(session(data), 8, (3, 5, 4))
    model = onnx.load_from_string(data)
    model.graph.output.append(info(deviation))
    with pytest.raises(GraphRefused, match="More than one of the file's values can be a z of 8 numbers"):
        EncoderGraph(session(model.SerializeToString()), 8, SHAPE)


@pytest.fixture
def dry_run(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """The jailed half in this process."""

    def run(data: bytes, **request: Any) -> dict[str, Any]:
        (tmp_path / "G.onnx").write_bytes(data)
        usual = {"generator": tmp_path / "G.onnx", "encoder": None, "z_dim": None, "shape": None, "classes": 0}
        return onnx_weights.read({**usual, "threads": 1, "target": str(tmp_path / "w.safetensors"), **request})

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


def test_a_file_says_its_own_sizes_where_it_can(dry_run: Callable[..., dict[str, Any]]) -> None:
    facts = dry_run(linear(8, SHAPE))
    assert (facts["z_dim"], facts["shape"]) == (8, SHAPE)
    assert dry_run(one_hot_generator(), z_dim=8, classes=2)["shape"] == SHAPE
    with pytest.raises(ImportRefused, match=r"Give --z-dim; the file's inputs are noise float \(N, N\)"):
        dry_run(linear(8, SHAPE, ("N", "z")))


@pytest.mark.parametrize(
    ("operator", "reason"), [("Dropout", "something else each time"), ("Log", "not finite")], ids=["random", "nan"]
)
def test_what_no_seed_can_name_is_refused(dry_run: Callable[..., dict[str, Any]], operator: str, reason: str) -> None:
    draw = Graph()
    training = [draw.weight(np.float32(0.5)), draw.weight(np.bool_(True))] if operator == "Dropout" else []
    x = draw.node(operator, "z", *training)
    matrix = draw.weight(np.ones((8, 60), dtype=np.float32))
    made = draw.node("Reshape", draw.node("MatMul", x, matrix), draw.weight(np.array([1, 1, *SHAPE])))
    with pytest.raises(ImportRefused, match=reason):
        dry_run(draw.file({"z": (FLOAT, (1, 8))}, made, (1, 1, *SHAPE)))


def test_a_model_folder_of_a_stranger_is_judged_before_it_is_run(tmp_path: Path) -> None:
    """As with `models add`: nothing has been through the import."""
    data = loop()
    network = {"generator_bytes": len(data), "session_bytes": 1, "synthesise_bytes": 1}
    card = write_onnx(tmp_path, "m", encoder=False, network=network)
    weights = {"generator": torch.frombuffer(bytearray(data), dtype=torch.uint8)}
    onnx_weights.save_file(weights, tmp_path / "m" / "weights.safetensors")
    with pytest.raises(FolderFault, match=r"its ONNX file is not run: .* a loop"):
        load(tmp_path / "m", write_card(tmp_path / "m", card))


def test_an_imported_hagan_makes_what_the_native_one_makes(tmp_path: Path) -> None:
    """Through the jail, with classes and an encoder."""
    native_card = write_tiny_hagan(tmp_path, "native", classes=("mild", "severe"))
    paths = {}
    for role, data in hagan(tmp_path, native_card).items():
        paths[role] = tmp_path / f"{role}.onnx"
        paths[role].write_bytes(data)
    meaning = Meaning("IAL", intensity=(-1024.0, 600.0), modality="CT", classes=("mild", "severe"))
    made = import_onnx("mine", paths["generator"], tmp_path, meaning, encoder=paths["encoder"])
    card = Catalogue([tmp_path]).card("mine")
    assert isinstance(card, ModelCard)
    assert card == made
    assert (card.shape, card.latent.z_dim, card.intensity.units) == ((32, 32, 32), 8, "HU")
    assert set(card.provenance.original_sha256) == {"generator", "encoder"}
    ours, native = load(tmp_path / "mine", card), load(tmp_path / "native", native_card)
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        for label in (0, 1):
            volume = native.synthesise(native.map(z, label))
            torch.testing.assert_close(ours.synthesise(ours.map(z, label)), volume, rtol=0, atol=1e-4)
        torch.testing.assert_close(ours.encode(volume), native.encode(volume), rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_network_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    """Without a loop: products of large matrices, each of which the next one needs."""
    draw = Graph()
    side = 3000
    x = draw.node("Expand", draw.node("ReduceSum", "z"), draw.weight(np.array([side, side])))
    for _ in range(3000):
        x = draw.node("Tanh", draw.node("MatMul", x, x))
    made = draw.node("Slice", x, *(draw.weight(np.array([k] * 2)) for k in (0, 8)), draw.weight(np.array([0, 1])))
    volume = draw.node("Reshape", made, draw.weight(np.array([1, 1, 4, 4, 4])))
    (tmp_path / "G.onnx").write_bytes(draw.file({"z": (FLOAT, (1, 8))}, volume, (1, 1, 4, 4, 4)))
    limits = Limits(memory_bytes=4 << 30, cpu_s=60, wall_s=20.0)
    with pytest.raises(ImportRefused, match="more memory, time or disk"):
        import_onnx("m", tmp_path / "G.onnx", tmp_path / "models", Meaning("IAL"), limits=limits)
    assert not list((tmp_path / "models").iterdir())
