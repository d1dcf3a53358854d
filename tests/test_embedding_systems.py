"""Each system of the model card, small and with random weights, gives the vectors that sentence-transformers gives.

The shape of each is that of the published files: configuration, tokenizer class, steps, length, and prompts where the
files name none.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from embedding_making import TEXTS

from kosearch.embedding import Prompts, load, load_for_queries, resolve
from kosearch.embedding.bundled import compile_rules
from kosearch.embedding.models import prompts_by_authors

Vectors = npt.NDArray[np.float32]

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

ALL = [
    *TEXTS,
    *(unicodedata.normalize("NFD", text) for text in TEXTS[:3]),
    " 앞뒤에 빈칸이 있다. \n",
    "두 줄\n\n\t사이 ▁ <s> </s>",
    "Ünïcödé ÀÉ Café",
]

E5 = Prompts("query: ", "passage: ")
INSTRUCT = Prompts("Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ", "")

_SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_XLM = ("XLMRobertaConfig", {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1})
_KLUE = ("RobertaConfig", {"type_vocab_size": 1, "layer_norm_eps": 1e-5, "max_position_embeddings": 514})
_BERT = ("BertConfig", {"type_vocab_size": 2, "max_position_embeddings": 512, "pad_token_id": 0})
_DEBERTA = (
    "DebertaV2Config",
    {
        "type_vocab_size": 0,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "layer_norm_eps": 1e-7,
        "relative_attention": True,
        "position_buckets": 256,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    },
)


@dataclass(frozen=True)
class System:
    """How a model's files look."""

    architecture: tuple[str, Mapping[str, Any]]
    tokenizer: str
    """xlm-roberta or bert: the tokenizer's class."""
    pooling: str
    length: int
    normalise: bool = False
    prompts: Prompts = field(default_factory=Prompts)
    bare: bool = False
    """Whether the files are those of transformers alone, without modules.json."""


def _xlm(positions: int) -> tuple[str, Mapping[str, Any]]:
    kind, settings = _XLM
    return kind, {**settings, "max_position_embeddings": positions}


SYSTEMS = {
    "dragonkue/BGE-m3-ko": System(_xlm(8194), "xlm-roberta", "cls", 8192, normalise=True),
    "BAAI/bge-m3": System(_xlm(8194), "xlm-roberta", "cls", 8192, normalise=True),
    "upskyy/bge-m3-korean": System(_xlm(8194), "xlm-roberta", "mean", 8192),
    "nlpai-lab/KoE5": System(_xlm(514), "xlm-roberta", "mean", 512, normalise=True, prompts=E5),
    "KU-HIAI-ONTHEIT/ontheit-large-v1": System(_xlm(514), "xlm-roberta", "cls", 512, prompts=E5),
    "KU-HIAI-ONTHEIT/ontheit-large-v1_1": System(_xlm(514), "xlm-roberta", "mean", 512, prompts=E5),
    "intfloat/multilingual-e5-large-instruct": System(
        _xlm(514), "xlm-roberta", "mean", 512, normalise=True, prompts=INSTRUCT
    ),
    "sentence-transformers/paraphrase-multilingual-mpnet-base-v2": System(_xlm(514), "xlm-roberta", "mean", 128),
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": System(_BERT, "xlm-roberta", "mean", 128),
    "BM-K/KoSimCSE-roberta": System(_KLUE, "bert", "cls", 512, bare=True),
    "jhgan/ko-sroberta-multitask": System(_KLUE, "bert", "mean", 128),
    "upskyy/kf-deberta-multitask": System(_DEBERTA, "bert", "mean", 128),
}


def xlm_roberta_tokenizer() -> Any:
    """XLM-RoBERTa's: unigrams behind SentencePiece's normalisation table, as the published tokenizer.json has it."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    table = compile_rules({"\t": " ", "\n": " ", "①": "1", "ﬁ": "fi", "…": "...", "Ａ": "A"})
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(table), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        [*ALL, "passage: query: Instruct:", "abcdefghijklmnopqrstuvwxyz"],
        trainers.UnigramTrainer(vocab_size=300, special_tokens=[*special, "<mask>"], unk_token="<unk>"),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = dict(zip(("bos_token", "pad_token", "eos_token", "unk_token"), special, strict=True))
    more = {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>", "model_max_length": 512}
    return tokenizer, {"tokenizer_class": "XLMRobertaTokenizer", **names, **more}


def bert_tokenizer(pad: int) -> Any:
    """KLUE's and Kakao's: word pieces, upper case kept, [PAD] at `pad`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    special = (
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"] if pad == 0 else ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
    )
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(ALL, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    ends = [(token, special.index(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "CLS", "SEP", "UNK", "MASK")}
    return tokenizer, {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "model_max_length": 512, **names}


def write_system(folder: Path, system: System) -> Path:
    """The model's directory, weights drawn at random and large enough that every step matters."""
    import torch
    import transformers

    torch.manual_seed(11)
    kind, settings = system.architecture
    pad = settings.get("pad_token_id", 1)
    tokenizer, tokenizer_config = xlm_roberta_tokenizer() if system.tokenizer == "xlm-roberta" else bert_tokenizer(pad)
    config = getattr(transformers, kind)(vocab_size=tokenizer.get_vocab_size(), **_SIZES, **settings)
    model = transformers.AutoModel.from_config(config).eval()
    for name, weights in model.named_parameters():
        if "LayerNorm" not in name:
            torch.nn.init.normal_(weights, std=0.15)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    files: dict[str, Any] = {"tokenizer_config.json": tokenizer_config}
    if not system.bare:
        steps = ["Transformer", "Pooling", *(["Normalize"] if system.normalise else [])]
        files["modules.json"] = [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{step}" if i else "",
                "type": f"sentence_transformers.models.{step}",
            }
            for i, step in enumerate(steps)
        ]
        modes = {f"pooling_mode_{mode}": mode.startswith(system.pooling) for mode in ("cls_token", "mean_tokens")}
        files["1_Pooling/config.json"] = {"word_embedding_dimension": 32, **modes}
        files["sentence_bert_config.json"] = {"max_seq_length": system.length, "do_lower_case": False}
        files["config_sentence_transformers.json"] = {"__version__": {"sentence_transformers": "2.2.2"}}
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def reference(folder: Path, system: System) -> Any:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer

    if not system.bare:
        return SentenceTransformer(str(folder), device="cpu")
    steps = [Transformer(str(folder), max_seq_length=system.length), Pooling(32, pooling_mode=system.pooling)]
    return SentenceTransformer(modules=steps, device="cpu")


def assert_same(vectors: Vectors, expected: Vectors) -> None:
    """To cosine .99999 and to 1e-4 in every component."""
    assert vectors.shape == expected.shape
    assert (vectors * expected).sum(axis=1).min() >= 0.99999
    assert np.abs(vectors - expected).max() <= 1e-4


@pytest.mark.parametrize("name", SYSTEMS)
def test_vectors_are_those_of_sentence_transformers(name: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    system = SYSTEMS[name]
    folder = write_system(tmp_path / name, system)
    model = resolve(str(folder), cache_dir=cache_dir)
    assert (model.prompts, model.max_tokens, model.pooling) == (system.prompts, system.length, (system.pooling,))
    assert model.normalised == system.normalise
    embedder = load(model, "cpu", precision="float32")
    theirs = reference(folder, system)

    def expected(texts: Sequence[str], prompt: str) -> Vectors:
        vectors: Vectors = theirs.encode(list(texts), prompt=prompt, normalize_embeddings=True)
        return vectors

    passages = embedder.embed_passages(ALL)
    assert_same(passages, expected(ALL, system.prompts.passage))
    assert_same(embedder.embed_queries(ALL), expected(ALL, system.prompts.query))
    assert_same(load_for_queries(model).embed_queries(ALL), expected(ALL, system.prompts.query))
    assert_same(np.concatenate([embedder.embed_passages([text]) for text in ALL]), passages)
    np.testing.assert_allclose(np.linalg.norm(passages, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "upskyy/bge-m3-korean"])
def test_texts_longer_than_8192_tokens(name: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    folder = write_system(tmp_path, SYSTEMS[name])
    text = "긴 글은 잘린다. A long text is cut. " * 700
    vectors = load(resolve(str(folder), cache_dir=cache_dir), "cpu", precision="float32").embed_passages([text])
    theirs = reference(folder, SYSTEMS[name])
    assert len(theirs.tokenizer(text)["input_ids"]) > 8192
    assert_same(vectors, theirs.encode([text], normalize_embeddings=True))


@pytest.mark.parametrize("name", SYSTEMS)
def test_prompts_by_the_name_in_the_table(name: str) -> None:
    assert (prompts_by_authors(name) or Prompts()) == SYSTEMS[name].prompts
