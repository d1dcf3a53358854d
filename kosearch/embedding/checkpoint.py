"""Reads a model's directory, without torch, and refuses what could not be loaded right.

A directory in sentence-transformers form says everything: `modules.json` the steps, `1_Pooling/config.json`
the pooling, `config_sentence_transformers.json` the prompts, `sentence_bert_config.json` the length. A
directory without `modules.json` is pooled as sentence-transformers would: by the mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast, get_args

from kosearch.embedding.head import has_head
from kosearch.embedding.models import (
    HEAD_NAMES,
    Heads,
    Layer,
    LayerKind,
    Model,
    Pooling,
    Prompts,
    RemoteCode,
    pooling_by_authors,
    prompts_by_authors,
)
from kosearch.errors import ModelError
from kosearch.system import make_private, replacing

if TYPE_CHECKING:
    pass

_LEGACY_POOLING: dict[str, Pooling] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""In the order in which sentence-transformers joins several poolings."""

_TRANSFORMER_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_PASSAGE_PROMPTS = ("document", "passage", "corpus")
"""The names sentence-transformers' `encode_document` looks for, in its order."""

_POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl"})
"""Model types that number positions from the padding token's id + 1, and so hold that many fewer tokens."""

FindCode = Callable[[Path, Mapping[str, Any]], RemoteCode | None]
"""From a directory and its `config.json` to the code of the authors that the model needs. Raises ModelError."""
WORD_EMBEDDINGS = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight")
"""How the names of tables of word vectors end."""
WRONG_FILES = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError),
    *(OSError, RecursionError, TypeError, ValueError, struct.error),
)
"""What reading a file leads to that says something else than it should."""
_LARGEST_JSON = 1 << 27
"""Bytes: four times the largest tokenizer.json that is known."""
_MOST_DIMENSIONS = 1 << 20
_MOST_TOKENS = 1 << 20
"""Where files name no limit, some write 1e30."""
_NOT_IN_THE_VECTORS = frozenset(
    {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
)
"""Keys of `config.json` that can change while every vector stays the same."""


def read(directory: Path, *, name: str, revision: str, why: str, cache_dir: Path, find_code: FindCode) -> Model:
    """The model in `directory`.

    Raises ModelError, with the way out, where weights or tokenizer are missing, pickled, don't fit each other,
    or need code that is not part of transformers and was not trusted.
    """
    with sound_files(directory):
        return _read(directory, name, revision, why, cache_dir, find_code)


@contextlib.contextmanager
def sound_files(directory: Path) -> Iterator[None]:
    """What files of a model lead to that say something else than a model's files do, as a ModelError."""
    try:
        yield
    except ModelError:
        raise
    except WRONG_FILES as error:
        raise ModelError(
            f"the files of {directory} do not say what a model's files say (config, modules, tokenizer): {_why(error)}",
            "fetch or copy the model again",
        ) from error


def _read(directory: Path, name: str, revision: str, why: str, cache_dir: Path, find_code: FindCode) -> Model:
    config = read_json(directory / "config.json")
    if config is None:
        raise ModelError(f"{directory} is not a model: it has no config.json", "name a model's own directory")
    _refuse_what_is_no_model(directory, config)
    is_bert(config)  # settings of another kind than it expects are refused here, not where it is asked again
    code = find_code(directory, config)
    weights = weight_files(directory)
    tokenizer = directory / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(
            f"{directory} has no tokenizer.json",
            "save the tokenizer in that form: transformers.AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)",
        )
    _check_vocabulary(directory, config, weights, tokenizer, cache_dir)

    steps = _steps(directory, config, pooling_by_authors(name) or pooling_by_authors(directory.name))
    sentence = read_json(directory / "config_sentence_transformers.json") or {}
    prompts = _prompts(sentence)
    if prompts == Prompts():
        prompts = prompts_by_authors(name) or prompts_by_authors(directory.name) or prompts
    if not steps.described:
        why += f"; {steps.pooling[0]} pooling, because it has no modules.json"
    if code is not None:
        why += f"; runs its authors' code ({code.origin})"
        revision = f"{revision} code {code.origin}".lstrip()
    truncated = sentence.get("truncate_dim")
    max_tokens = _max_tokens(directory, config, steps.transformer)
    if not (0 < steps.dimensions <= _MOST_DIMENSIONS and max_tokens > 0 and (truncated is None or truncated > 0)):
        raise ValueError(f"{steps.dimensions} dimensions, {truncated} of them, and {max_tokens} tokens")
    lower_case = bool(steps.transformer.get("do_lower_case", False))
    content = {
        "weights": [(file.name, cached_fact("sha256", file, cache_dir, sha256)) for file in weights],
        "tokenizer": cached_fact("sha256", tokenizer, cache_dir, sha256),
        "config": {key: value for key, value in config.items() if key not in _NOT_IN_THE_VECTORS},
        "pooling": steps.pooling,
        "include_prompt": steps.include_prompt,
        "layers": [_content(layer) for layer in steps.layers],
        "length": max_tokens,
        "lower_case": lower_case,
        "dimensions": truncated,
        "prompts": (prompts.query, prompts.passage),
    }
    if code is not None:
        content["code"] = code.folder.name
    splits_words = _splits_words(directory, config)
    if splits_words:
        content["splits_words"] = True
    return Model(
        name=name,
        directory=directory,
        revision=revision,
        dimensions=min(steps.dimensions, truncated or steps.dimensions),
        max_tokens=max_tokens,
        pooling=steps.pooling,
        include_prompt=steps.include_prompt,
        layers=steps.layers,
        normalised=any(layer.kind == "normalize" for layer in steps.layers),
        lower_case=lower_case,
        prompts=prompts,
        fingerprint=_fingerprint(content),
        why=why,
        cache_dir=cache_dir,
        heads=_heads(directory),
        splits_words=splits_words,
        code=code,
        bases=_bases(content, steps.layers),
    )


def _content(layer: Layer) -> tuple[LayerKind, list[tuple[str, str]]]:
    """What a step after pooling is: its kind and its files."""
    return layer.kind, [(file.name, sha256(file)) for file in sorted(layer.directory.glob("*.*")) if file.is_file()]


def _fingerprint(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _bases(content: Mapping[str, Any], layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """`Model.bases`: the model without the head, and that without the step to unit length, which changes no vector."""
    if len(layers) < 3 or content["dimensions"] is not None:
        return ()
    if not has_head(layers, read_json(layers[-2].directory / "config.json")):
        return ()
    below = content["layers"][:-2]
    return tuple(_fingerprint({**content, "layers": one}) for one in (below, below[:-1]))


def _splits_words(directory: Path, config: dict[str, Any]) -> bool:
    """Whether the tokenizer's class is XLM-RoBERTa's: see `Model.splits_words`."""
    named = (read_json(directory / "tokenizer_config.json") or {}).get("tokenizer_class")
    if named is None and config["model_type"] == "xlm-roberta":
        return True
    return named in ("XLMRobertaTokenizer", "XLMRobertaTokenizerFast")


def _heads(directory: Path) -> Heads | None:
    """BGE-M3's further heads, where both are there; as safetensors before the pickles that upstream has."""
    for suffix in (".safetensors", ".pt"):
        sparse, multi_vector = (directory / f"{name}{suffix}" for name in HEAD_NAMES)
        if sparse.is_file() and multi_vector.is_file():
            return Heads(sparse, multi_vector)
    return None


def read_json(path: Path) -> Any:
    """The file's content; None where there is no such file. Raises ModelError."""
    try:
        with _opened(path) as file:
            if os.fstat(file.fileno()).st_size > _LARGEST_JSON:
                raise ValueError("it is too large")
            return json.loads(file.read())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise ModelError(f"{path} can't be read: {_why(error)}", "fetch or copy the model again") from error


def _opened(path: Path) -> BinaryIO:
    """A plain file, open; a pipe would be waited for without end. Raises OSError."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("it is no plain file")
    return path.open("rb")


def _why(error: Exception) -> str:
    """What is wrong, in a line for a person."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    return f"{error if isinstance(error, OSError | ValueError) and str(error) else repr(error)!s:.200}"


def _refuse_what_is_no_model(directory: Path, config: dict[str, Any]) -> None:
    kind = config.get("model_type")
    if not (kind and isinstance(kind, str)):
        raise ModelError(f"{directory / 'config.json'} names no model_type", "name a model's own directory")
    if (directory / "adapter_config.json").exists():
        raise ModelError(f"{directory} is an adapter, not a whole model", "merge it into its base model and save that")


def weight_files(directory: Path) -> list[Path]:
    """The safetensors files that hold the transformer's weights. Raises ModelError."""
    whole = directory / "model.safetensors"
    index = read_json(directory / "model.safetensors.index.json")
    files = [whole]
    if index is not None and not whole.exists():
        with sound_files(directory):
            files = [directory / name for name in sorted(set(index["weight_map"].values()))]
    missing = [file.name for file in files if not file.is_file()]
    if missing and any(directory.glob("pytorch_model*.bin")):
        raise ModelError(
            f"{directory} has its weights only as pickle, which can run code when it is opened",
            "convert it once where you trust it: "
            "transformers.AutoModel.from_pretrained(DIR).save_pretrained(DIR), or fetch a safetensors version",
        )
    if missing:
        raise ModelError(f"{directory} lacks its weights: {', '.join(missing)}", "fetch or copy the model again")
    return files


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a safetensors file: its kind, such as F32, its shape, and where its bytes begin and end."""

    kind: str
    shape: list[int]
    begin: int
    end: int


def tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors in a safetensors file by name, from its header alone (https://github.com/huggingface/safetensors).

    Raises ModelError.
    """
    try:
        with _opened(path) as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            if length > min(size - 8, _LARGEST_JSON):
                raise ValueError("the header does not fit")
            header = json.loads(file.read(length))
        found = {}
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = (8 + length + offset for offset in entry["data_offsets"])
                shape = entry["shape"]
                if not (8 + length <= begin <= end <= size and all(type(one) is int and one >= 0 for one in shape)):
                    raise ValueError(f"the bytes of {name:.80} don't fit")
                found[name] = StoredTensor(entry["dtype"], shape, begin, end)
        return found
    except WRONG_FILES as error:
        raise ModelError(f"{path} is not a safetensors file: {_why(error)}", "fetch or copy the model again") from error


def _check_vocabulary(
    directory: Path, config: dict[str, Any], weights: list[Path], tokenizer: Path, cache_dir: Path
) -> None:
    rows = config.get("vocab_size", 0)
    for file in weights:
        for name, tensor in tensors(file).items():
            if name.endswith(WORD_EMBEDDINGS):
                rows = tensor.shape[0]
    ids = int(cached_fact("ids", tokenizer, cache_dir, _count_ids))
    if ids > rows:
        raise ModelError(
            f"the tokenizer of {directory} does not belong to its weights: {ids} tokens, {rows} word vectors",
            "fetch or copy the model again",
        )


def _count_ids(tokenizer: Path) -> str:
    """The largest token id, plus one."""
    content = read_json(tokenizer)
    vocabulary = content["model"]["vocab"]
    ids = vocabulary.values() if isinstance(vocabulary, dict) else [len(vocabulary) - 1]
    return str(1 + max(*ids, -1, *(token["id"] for token in content.get("added_tokens", ()))))


@dataclass(frozen=True, slots=True)
class _Steps:
    transformer: dict[str, Any]
    pooling: tuple[Pooling, ...]
    include_prompt: bool
    layers: tuple[Layer, ...]
    dimensions: int
    described: bool


def _steps(directory: Path, config: dict[str, Any], by_authors: Pooling | None) -> _Steps:
    """What happens to a text, from `modules.json`; without it as sentence-transformers sets up a bare model."""
    width = int(config.get("hidden_size") or config.get("d_model") or config.get("dim") or 0)
    modules = read_json(directory / "modules.json")
    if modules is None:
        causal = str((config.get("architectures") or [""])[0]).endswith("ForCausalLM")
        pooling: tuple[Pooling, ...] = (by_authors or ("lasttoken" if causal else "mean"),)
        return _Steps({}, pooling, True, (), width, described=False)

    if [_kind(directory, module) for module in modules[:2]] != ["Transformer", "Pooling"] or modules[0]["path"]:
        raise ModelError(f"{directory} does not begin with a transformer and a pooling step", "choose another model")
    transformer: dict[str, Any] = next(filter(None, (read_json(directory / name) for name in _TRANSFORMER_FILES)), {})
    folder = directory / modules[1]["path"]
    content = read_json(folder / "config.json") or {}
    pooling = _pooling(folder, content)
    width *= len(pooling)
    layers = tuple(_layers(directory, modules[2:]))
    for layer in layers:
        if layer.kind == "dense":
            width = int((read_json(layer.directory / "config.json") or {}).get("out_features", width))
    return _Steps(transformer, pooling, bool(content.get("include_prompt", True)), layers, width, described=True)


def _kind(directory: Path, module: dict[str, str]) -> str:
    package, _, kind = module["type"].rpartition(".")
    if not package.startswith("sentence_transformers."):
        raise ModelError(
            f"{directory} needs Python code from its authors ({module['type']})",
            "kosearch runs no code for single steps; choose another model",
        )
    return kind


def _layers(directory: Path, modules: list[dict[str, str]]) -> Iterator[Layer]:
    kinds: dict[str, LayerKind] = {"Dense": "dense", "LayerNorm": "layernorm", "Normalize": "normalize"}
    for module in modules:
        kind, folder = _kind(directory, module), directory / module["path"]
        if kind == "Dropout":
            continue
        if kind not in kinds:
            raise ModelError(
                f"{directory} has a step that kosearch does not know: {module['type']}", "choose another model"
            )
        if kind != "Normalize" and not (folder / "model.safetensors").is_file():
            raise ModelError(
                f"{folder} has no model.safetensors",
                "save the model with a current sentence-transformers: SentenceTransformer(DIR).save(NEW)",
            )
        yield Layer(kinds[kind], folder)


def _pooling(folder: Path, content: dict[str, Any]) -> tuple[Pooling, ...]:
    modes = content.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _LEGACY_POOLING.items() if content.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    unknown = set(modes) - set(get_args(Pooling))
    if unknown:
        raise ModelError(f"{folder} asks for an unknown pooling: {', '.join(sorted(unknown))}", "choose another model")
    return tuple(cast("list[Pooling]", modes))


def _prompts(sentence: dict[str, Any]) -> Prompts:
    """As `encode_query` and `encode_document` choose them: by name, else the default prompt."""
    named: dict[str, str] = {key: text or "" for key, text in (sentence.get("prompts") or {}).items()}
    default = named.get(sentence.get("default_prompt_name") or "", "")
    passages = [named[key] for key in _PASSAGE_PROMPTS if key in named] or [default]
    return Prompts(named.get("query", default), next(filter(None, passages), ""))


def _max_tokens(directory: Path, config: dict[str, Any], transformer: dict[str, Any]) -> int:
    """What the files say, and never more than the model has positions for."""
    positions = int(config.get("max_position_embeddings") or 0)
    if config["model_type"] in _POSITIONS_AFTER_PADDING and positions > 0:
        positions -= int(config.get("pad_token_id", 1)) + 1
    stated = transformer.get("max_seq_length")
    if stated is None:
        stated = (read_json(directory / "tokenizer_config.json") or {}).get("model_max_length", positions or 512)
    return int(min(stated, positions if positions > 0 else _MOST_TOKENS))


# What the torch and the numpy encoder both know about models of BERT's kind: names, positions, limits.

LAYER_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "last_norm": "output.LayerNorm",
}
"""Our word for each pair of weight and bias in a layer, and its name in the file."""

ACTIVATIONS = frozenset({"gelu", "relu", "gelu_new", "gelu_pytorch_tanh"})
_KINDS = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})


def is_bert(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` is computed by our own encoders."""
    return (
        config["model_type"] in _KINDS
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and not config.get("is_decoder")
    )


def first_position(config: Mapping[str, Any]) -> int:
    """The position of a text's first token: RoBERTa and its kin count from the padding token's id + 1."""
    return 0 if config["model_type"] == "bert" else int(config.get("pad_token_id", 1)) + 1


def without_prefix(name: str) -> str:
    """A tensor's name as of today, without what a task's head put in front (`bert.`, `roberta.`)."""
    bare = name.removeprefix("bert.").removeprefix("roberta.")
    return bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


# Small facts about big files, computed once for each state of a file.


def cached_fact(kind: str, path: Path, cache_dir: Path, compute: Callable[[Path], str]) -> str:
    """`compute(path)`, kept in `cache_dir` until the file's size or modification time changes.

    A query must not read 400 MB of weights to learn that they are still the same. A cache that can't be
    written costs time, never the answer.
    """
    real = path.resolve()
    state = real.stat()
    key = f"{kind}\0{real}\0{state.st_size}\0{state.st_mtime_ns}"
    note = cache_dir / "facts" / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    with contextlib.suppress(OSError):
        return note.read_bytes().decode()
    fact = compute(real)
    with contextlib.suppress(OSError):
        make_private(note.parent)
        with replacing(note) as file:
            file.write(fact.encode())
    return fact


def sha256(path: Path) -> str:
    """The file's content hash, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
