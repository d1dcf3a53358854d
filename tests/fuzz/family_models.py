"""Files of a model's folder, and archives of models: they are a model's, or a ModelError says that they are not."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from embedding_making import write_small

from fuzz.frame import Family, Input
from kosearch.embedding import archive, load_for_few, parameters, resolve, statuses, token_offsets
from kosearch.errors import ModelError

ARCHIVE = "model.tar"
WEIGHTS = "model.safetensors"
MOST_TOKENS, MOST_WIDTH = 1 << 20, 1 << 20


@cache
def _small() -> Path:
    """A sound model, made once in each worker."""
    folder = Path(tempfile.mkdtemp(prefix="kosearch-fuzz-"))
    small = write_small(folder / "small")
    for name in ("sparse_linear", "colbert_linear"):
        shutil.copy(small / WEIGHTS, small / f"{name}.safetensors")
    return small


def attempt(one: Input) -> str:
    """What a model's file is read for, from its name to a vector."""
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return _archive(one, Path(scratch)) if one.name == ARCHIVE else _folder(one, Path(scratch))
        except ModelError as error:
            return "" if error.message and "\n" not in error.message else f"an error that is no line: {error.message!r}"


def _folder(one: Input, scratch: Path) -> str:
    directory = scratch / "model"
    shutil.copytree(_small(), directory)
    (directory / one.name.replace("~", "/")).write_bytes(one.data)
    model = resolve(str(directory), cache_dir=scratch / "cache")
    if not (0 < model.max_tokens <= MOST_TOKENS and 0 < model.dimensions <= MOST_WIDTH):
        return f"{model.dimensions} dimensions for {model.max_tokens} tokens"
    parameters(directory)
    text = "긴 글은 잘린다. A long text."
    spans = token_offsets(model)(text)
    if any(not 0 <= start <= end <= len(text) for start, end in spans):
        return "tokens outside the text"
    if few := load_for_few(model, "cpu"):
        vectors = few.embed_queries([text, ""])
        if vectors.shape != (2, model.dimensions):
            return f"vectors of {vectors.shape}"
    return ""


def _archive(one: Input, scratch: Path) -> str:
    file, hub = scratch / ARCHIVE, scratch / "hub"
    file.write_bytes(one.data)
    os.environ["HF_HUB_CACHE"] = str(hub)
    before = sorted(scratch.rglob("*"))
    try:
        archive.load(file, lambda *_: None, scratch / "ocr")
    except ModelError:
        left = [path for path in sorted(scratch.rglob("*")) if path not in before and path != hub]
        if left:
            return f"an archive that was refused left {left}"
        raise
    list(statuses())
    return ""


def _packed(format: int, name: str) -> bytes:
    files = {path.name: path.read_bytes() for path in sorted(_small().glob("*.*")) if path.is_file()}
    listed = [{"path": path, "size": len(data), "sha256": _sha256(data)} for path, data in files.items()]
    manifest = {"format": archive.FORMAT, "name": name, "revision": "a" * 40, "files": listed}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for path, data in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            if format == tarfile.PAX_FORMAT and path == WEIGHTS:
                member.pax_headers = {"comment": "한글", "size": str(len(data))}
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _seeds() -> Iterator[Input]:
    small = _small()
    for path in sorted(small.rglob("*")):
        if path.is_file():
            yield Input(str(path.relative_to(small)).replace("/", "~"), path.read_bytes())
    index = {"weight_map": {"embeddings.word_embeddings.weight": WEIGHTS}}
    yield Input("model.safetensors.index.json", json.dumps(index).encode())
    yield Input("tokenizer_config.json", b'{"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": 1e30}')
    sentence = {"prompts": {"query": "query: ", "passage": "p: "}, "default_prompt_name": None, "truncate_dim": 4}
    yield Input("config_sentence_transformers.json", json.dumps(sentence).encode())
    yield Input(ARCHIVE, _packed(tarfile.PAX_FORMAT, "team/small"))
    yield Input(ARCHIVE, _packed(tarfile.GNU_FORMAT, "small"))


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        *(
            b"null",
            b"-1",
            b"0",
            b"1e999",
            b"NaN",
            b"9" * 400,
            b"[" * 200,
            b'{"a":' * 200,
            b'"',
            b"\\ud800",
            b"\x00",
            b"\xff",
        ),
        *(
            b'"type": "Unigram", ',
            b'"type": "BPE", ',
            b'"vocab": [["a", 0.5]], ',
            b'"merges": [], ',
            b'"byte_fallback": true, ',
        ),
        *(b'"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}, ', b'"added_tokens": [{"id": 9}], '),
        *(b'"model_type": "roberta", ', b'"hidden_act": [], ', b'"hidden_size": 1000000000000, ', b'"auto_map": {}, '),
        *(b'"truncate_dim": -1, ', b'"shape": [1e9], ', b'"data_offsets": [0, 99999999999], ', b'"dtype": "BF16"'),
        *(b"../", b"/etc/passwd", b"30 size=99999999999999\n", b"20 path=../../x\n", b"GNU.sparse.map"),
    ),
    deadline=60.0,
)
