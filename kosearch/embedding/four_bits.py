"""The layers of the bundled model by onnxruntime, over its 4-bit weights as they are.

A question of some twenty tokens passes by all weights, and that is what takes its time. In four bits these are an
eighth of their bytes in float32, and onnxruntime (MIT) multiplies blocks of them by float32 (`MatMulNBits`); all else
stays float32, so that vectors differ from those of `numpy_encoder` as those of any two libraries do.

The graph is written here, as ONNX's protocol buffers: a dozen steps a layer, all from onnxruntime's own operators
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.embedding.bundled import Blocks
from kosearch.system import usable_cores

Array = NDArray[Any]
Layers = Callable[[Array], Array]
"""(tokens, hidden) → (tokens, hidden), float32: from the embeddings, normalised, to the last hidden states."""

_MICROSOFT = "com.microsoft"
_FLOAT, _BYTE, _INTEGER = 1, 2, 7
"""Of TensorProto.DataType."""
_INPUT, _OUTPUT = "x", "hidden"
_LONG = 64
"""Tokens from which on a text is worth more cores than one: 200 take two cores .6 of the time and a tenth more of their
own, 20 take .9 of the time and a fifth more."""
_MOST_CORES = 4
"""More were not tried."""


def available() -> bool:
    """Whether onnxruntime is installed."""
    return find_spec("onnxruntime") is not None


def layers(tensors: Mapping[str, Blocks | Array], depth: int, heads: int, epsilon: float, tokens: int) -> Layers:
    """What computes the layers, on one core where there are few tokens; what is needed for so many is loaded at once.

    `tensors` are those of `bundled.layer_tensors`: weights in blocks, and vectors in float32. Raises ImportError, and
    whatever onnxruntime does where it cannot.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # there are some on Windows

    def made(cores: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = cores, 1
        # Threads that wait at work take the core from each other, and from what goes on beside, such as Kiwi.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        graph, providers = _model(tensors, depth, heads, epsilon), ["CPUExecutionProvider"]
        return onnxruntime.InferenceSession(graph, options, providers=providers, enable_fallback=0)  # else it prints

    sessions = _Sessions(made)
    sessions.of(tokens)
    return lambda x: np.asarray(sessions.of(len(x)).run([_OUTPUT], {_INPUT: x[None]})[0])[0]


class _Sessions:
    """The graph on one core, and on some for long texts: either is loaded when it is first wanted."""

    def __init__(self, made: Callable[[int], Any]) -> None:
        self._made = made
        self._most = min(usable_cores(), _MOST_CORES)
        self._sessions: dict[int, Any] = {}
        self._loading = threading.Lock()

    def of(self, tokens: int) -> Any:
        """The one for a text of so many; the other where there are no threads or no memory to be had for that."""
        cores = self._most if tokens >= _LONG else 1
        with self._loading:
            if cores not in self._sessions:
                try:
                    self._sessions[cores] = self._made(cores)
                except Exception:  # noqa: BLE001 - whatever onnxruntime raises: the other gives the same vectors
                    others = iter(self._sessions.values())
                    self._sessions[cores] = next(others, None) or self._made(1)
            return self._sessions[cores]


def _model(tensors: Mapping[str, Blocks | Array], depth: int, heads: int, epsilon: float) -> bytes:
    """The graph, serialised."""
    norm = tensors["0.norm.weight"]
    assert not isinstance(norm, Blocks)
    hidden = len(norm)
    shape = _message((1, _message((1, 1))), (1, _message((2, "tokens"))), (1, _message((1, hidden))))
    kind = _message((1, _message((1, _FLOAT), (2, shape))))
    graph = _message(
        *((1, node) for node in _nodes(tensors, depth, heads, epsilon)),
        (2, "layers"),
        *((5, one) for name, tensor in tensors.items() for one in _initialisers(name, tensor)),
        *((5, _tensor(f"order {count}", order, _INTEGER)) for count, order in _orders(tensors).items()),
        (11, _message((1, _INPUT), (2, kind))),
        (12, _message((1, _OUTPUT), (2, kind))),
    )
    operators = (("", 20), (_MICROSOFT, 1))
    return _message((1, 9), (7, graph), *((8, _message((1, domain), (2, version))) for domain, version in operators))


def _nodes(tensors: Mapping[str, Blocks | Array], depth: int, heads: int, epsilon: float) -> Iterator[bytes]:
    def ordered(source: str, columns: int) -> bytes:
        """The columns in the order of the weights that they are multiplied by."""
        return _node("Gather", (source, f"order {columns}"), f"{source} ordered", axis=2)

    def linear(layer: int, part: str, source: str) -> Iterator[bytes]:
        """The product alone."""
        name = f"{layer}.{part}"
        blocks = tensors[f"{name}.weight"]
        assert isinstance(blocks, Blocks)
        size = {"K": blocks.columns, "N": blocks.rows, "bits": 4, "block_size": blocks.length}
        inputs = (f"{source} ordered", f"{name}.weight", f"{name}.scales")
        yield _node("MatMulNBits", inputs, f"{name}.product", _MICROSOFT, **size, accuracy_level=1)

    def with_bias(layer: int, part: str, source: str) -> Iterator[bytes]:
        yield from linear(layer, part, source)
        yield _node("Add", (f"{layer}.{part}.product", f"{layer}.{part}.bias"), f"{layer}.{part}")

    def normalised(layer: int, part: str, norm: str, beside: str, output: str) -> Iterator[bytes]:
        inputs = (f"{layer}.{part}.product", beside, *(f"{layer}.{norm}.{one}" for one in ("weight", "bias")))
        inputs = (*inputs, f"{layer}.{part}.bias")
        yield _node("SkipLayerNormalization", inputs, output, _MICROSOFT, epsilon=epsilon)

    hidden, wide = _orders(tensors)
    x = _INPUT
    for layer in range(depth):
        yield ordered(x, hidden)
        for part in ("query", "key", "value"):
            yield from with_bias(layer, part, x)
        sides = [f"{layer}.{part}" for part in ("query", "key", "value")]
        yield _node("MultiHeadAttention", sides, f"{layer}.context", _MICROSOFT, num_heads=heads)
        yield ordered(f"{layer}.context", hidden)
        yield from linear(layer, "output", f"{layer}.context")
        yield from normalised(layer, "output", "norm", x, f"{layer}.attended")
        yield ordered(f"{layer}.attended", hidden)
        yield from with_bias(layer, "wide", f"{layer}.attended")
        yield _node("Gelu", (f"{layer}.wide",), f"{layer}.bent")
        yield ordered(f"{layer}.bent", wide)
        yield from linear(layer, "narrow", f"{layer}.bent")
        after = _OUTPUT if layer == depth - 1 else f"{layer}.x"
        yield from normalised(layer, "narrow", "last_norm", f"{layer}.attended", after)
        x = after


def _orders(tensors: Mapping[str, Blocks | Array]) -> dict[int, Array]:
    """The order of the weights of a row, by how many there are: of hidden states, and of the wide ones between."""
    blocks = [tensors[f"0.{part}.weight"] for part in ("wide", "narrow")]
    return {one.columns: one.order for one in blocks if isinstance(one, Blocks)}


def _initialisers(name: str, tensor: Blocks | Array) -> Iterator[bytes]:
    if isinstance(tensor, Blocks):
        yield _tensor(name, tensor.weights, _BYTE)
        yield _tensor(f"{name.removesuffix('weight')}scales", tensor.scales, _FLOAT)
    else:
        yield _tensor(name, tensor.astype("<f4"), _FLOAT)


# Protocol buffers (https://protobuf.dev/programming-guides/encoding), of onnx.proto's messages: the numbers of fields
# are that file's.


def _message(*fields: tuple[int, int | str | bytes | memoryview]) -> bytes:
    """Fields by number, in order: integers as varints, all else with its length."""
    parts: list[bytes | memoryview] = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(_varint(number << 3) + _varint(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += _varint(number << 3 | 2) + _varint(len(data)), data
    return b"".join(parts)


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)


def _node(kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: int | float) -> bytes:
    """A NodeProto with one output."""
    return _message(
        *((1, one) for one in inputs),
        (2, output),
        (4, kind),
        *((5, _attribute(name, value)) for name, value in attributes.items()),
        (7, domain),
    )


def _attribute(name: str, value: float) -> bytes:
    """An AttributeProto: an integer, or a number in float32, which has a wire type of its own."""
    if isinstance(value, int):
        return _message((1, name), (3, value), (20, 2))
    return _message((1, name), (20, 1)) + _varint(2 << 3 | 5) + np.array(value, "<f4").tobytes()


def _tensor(name: str, values: Array, kind: int) -> bytes:
    """A TensorProto with its numbers as they lie in memory."""
    return _message(*((1, size) for size in values.shape), (2, kind), (8, name), (9, values.data.cast("B")))
