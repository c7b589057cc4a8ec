"""What an ONNX file would have run, judged before onnxruntime reads it. No torch, no onnx.

The file is a protobuf message (onnx.proto). Every occurrence of every field on the way to a node or a tensor is looked
at, and a field that is not known there is refused, so that no other reader finds a node in it that was not judged
(docs/decisions/0060).
"""

from collections.abc import Iterator, Mapping

from model_store.faults import Refusal

_MOST_NODES = 100_000
_DEEPEST = 32
"""Messages within messages; a graph within a graph is three."""
_STANDARD = (b"", b"ai.onnx")
_LOOPS = frozenset({b"Loop", b"Scan", b"SequenceMap"})
_RANDOM = frozenset(
    {b"RandomNormal", b"RandomNormalLike", b"RandomUniform", b"RandomUniformLike", b"Multinomial", b"Bernoulli"}
)
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": dict.fromkeys((1, 2, 3, 4, 5, 6, 8, 14, 26), "") | {7: "graph", 20: "training", 25: "functions"},
    "graph": dict.fromkeys((2, 10, 11, 12, 13, 14, 16), "") | {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": dict.fromkeys((1, 2, 3, 6, 8, 9, 10), "") | {4: "operator", 5: "attribute", 7: "domain"},
    "attribute": dict.fromkeys((1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 20, 21), "")
    | {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "tensor": dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16), "") | {13: "external", 14: "location"},
    "sparse tensor": {1: "tensor", 2: "tensor", 3: ""},
}
"""Field numbers of the messages on the way: what stands in a field, "" where it is neither node nor tensor."""


class GraphRefused(Refusal):
    """An ONNX file that is not run."""


def check_graph(data: bytes) -> None:
    """Standard operators without loops or chance, every tensor within the file.

    Raises:
        GraphRefused: it has something else, or is no ONNX file.
    """
    if not _Judge().walk(memoryview(data), "model", 0):
        raise _damaged()


class _Judge:
    """Counts what one file has."""

    def __init__(self) -> None:
        self._nodes = 0

    def walk(self, message: memoryview, kind: str, nested: int) -> bool:
        """Whether it has any field."""
        found = False
        for number, value in _fields(message):
            found = True
            inside = _MESSAGES[kind].get(number)
            if inside is None:
                raise GraphRefused(f"It is no ONNX file, or has a field in a {kind} that is not known here.")
            if inside:
                self._take(inside, value, nested)
        return found

    def _take(self, inside: str, value: int | memoryview, nested: int) -> None:
        if inside == "location":
            if value != 0:
                raise _external()
            return
        if isinstance(value, int):
            raise _damaged()
        if inside in _MESSAGES:
            self._nodes += inside == "node"
            if self._nodes > _MOST_NODES or nested > _DEEPEST:
                raise GraphRefused("The ONNX file has more nodes, or graphs within graphs, than any network needs.")
            self.walk(value, inside, nested + 1)
        else:
            _judge(inside, bytes(value[:64]))


def _judge(inside: str, text: bytes) -> None:
    """What is neither message nor number."""
    if inside == "external":
        raise _external()
    if inside == "training":
        raise GraphRefused("The ONNX file holds a training; export the network alone.")
    if inside == "functions" or (inside == "domain" and text not in _STANDARD):
        raise GraphRefused(
            "The ONNX file has operators or functions of its own; export it with operators of the ONNX standard alone."
        )
    if inside == "operator" and text in _LOOPS:
        raise GraphRefused(
            f"The ONNX file has a loop (operator {text.decode()}), of which nobody can say when it ends; export the "
            "network without one, by tracing."
        )
    if inside == "operator" and text in _RANDOM:
        raise GraphRefused(
            f"The ONNX file draws random numbers of its own (operator {text.decode()}), so that a seed would not name "
            "a volume; export the network with constant noise."
        )


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field: of a varint the number, else the bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = {1: 8, 5: 4}.get(wire, 0)
        if wire == 2:
            length, at = _varint(message, at)
        elif not length:
            raise _damaged()
        if length > len(message) - at:
            raise _damaged()
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _damaged()
        byte, at = message[at], at + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise _damaged()


def _damaged() -> GraphRefused:
    return GraphRefused("The file is damaged or is no ONNX file.")


def _external() -> GraphRefused:
    return GraphRefused(
        "The ONNX file keeps its weights in another file; export it with external_data=False, or save it anew as one "
        "file."
    )
