"""The models that kosearch knows by name: facts about them, before anything is fetched.

Scores are those of the AutoRAG benchmark (114 Korean questions, 720 pages) in the model card of
https://huggingface.co/dragonkue/BGE-m3-ko. The other facts are those of each model's own card and files; what
none of them states is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kosearch.embedding.model import PROMPTS_BY_AUTHORS, Prompts


@dataclass(frozen=True, slots=True)
class Known:
    """A model that can be had, and what is known of it."""

    name: str
    """What `--model` takes."""
    dimensions: int
    max_tokens: int | None
    parameters: int | None = None
    """In millions, by the sizes in `config.json`."""
    licence: str | None = None
    languages: str | None = None
    prompts: Prompts | None = None
    """None where the model's own files decide, or the service."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Recall@k → the card's figure; empty where the card has none."""
    matryoshka: bool = False
    """Whether it was trained so that the first dimensions of a vector can stand for all."""
    note: str = ""
    """What else it takes to use it."""


def _recall(*values: float) -> dict[str, float]:
    return dict(zip(("Recall@1", "Recall@3", "Recall@5", "Recall@10"), values, strict=True))


_KOREAN, _BOTH, _HUNDRED = "Korean", "Korean, English", "more than 100"
_SERVICE = "an endpoint: texts leave this machine"
_NONE = Prompts()
_E5 = PROMPTS_BY_AUTHORS["intfloat/multilingual-e5-small"]
_INSTRUCT = PROMPTS_BY_AUTHORS["intfloat/multilingual-e5-large-instruct"]

CATALOG: tuple[Known, ...] = (
    Known("bundled", 384, 512, 118, "MIT", "94", _E5, note="multilingual-e5-small in 4 bits, comes with kosearch"),
    Known(
        *("dragonkue/BGE-m3-ko", 1024, 8192, 568, "Apache-2.0", _BOTH, _NONE),
        _recall(0.7456, 0.9035, 0.9298, 0.9736),
    ),
    Known("BAAI/bge-m3", 1024, 8192, 568, "MIT", _HUNDRED, _NONE, _recall(0.6578, 0.8508, 0.9123, 0.9386)),
    Known("upskyy/bge-m3-korean", 1024, 8192, 568, None, _KOREAN, _NONE, _recall(0.5351, 0.7368, 0.7982, 0.8684)),
    Known("nlpai-lab/KoE5", 1024, 512, 560, "MIT", _BOTH, _E5, _recall(0.7018, 0.8509, 0.8947, 0.9211)),
    Known(
        *("KU-HIAI-ONTHEIT/ontheit-large-v1", 1024, 512, 560, None, _KOREAN, _E5),
        _recall(0.7105, 0.8772, 0.9123, 0.9386),
    ),
    Known(
        *("KU-HIAI-ONTHEIT/ontheit-large-v1_1", 1024, 512, 560, None, _KOREAN, _E5),
        _recall(0.7193, 0.8860, 0.9298, 0.9474),
    ),
    Known(
        *("intfloat/multilingual-e5-large-instruct", 1024, 512, 560, "MIT", "94", _INSTRUCT),
        _recall(0.4649, 0.6667, 0.7632, 0.8158),
    ),
    Known(
        *("sentence-transformers/paraphrase-multilingual-mpnet-base-v2", 768, 128, 278, "Apache-2.0", "50", _NONE),
        _recall(0.3596, 0.4737, 0.5439, 0.6667),
    ),
    Known(
        *("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 128, 118, "Apache-2.0", "50", _NONE),
        _recall(0.2982, 0.4123, 0.4912, 0.5789),
    ),
    Known("BM-K/KoSimCSE-roberta", 768, 512, 111, None, _KOREAN, _NONE, _recall(0.4298, 0.6053, 0.6491, 0.7281)),
    Known("jhgan/ko-sroberta-multitask", 768, 128, 111, None, _KOREAN, _NONE, _recall(0.4211, 0.5877, 0.6491, 0.7018)),
    Known(
        "upskyy/kf-deberta-multitask", 768, None, None, None, _KOREAN, _NONE, _recall(0.4561, 0.6316, 0.6842, 0.7632)
    ),
    Known(
        *("Alibaba-NLP/gte-multilingual-base", 768, 8192, 305, "Apache-2.0", "more than 70", _NONE),
        _recall(0.5877, 0.8070, 0.8772, 0.9211),
        matryoshka=True,
        note="runs its authors' code: needs --trust-remote-code",
    ),
    Known(
        *("openai:text-embedding-ada-002", 1536, 8191),
        scores=_recall(0.4737, 0.7105, 0.7807, 0.8596),
        note=_SERVICE,
    ),
    Known(
        *("openai:text-embedding-3-small", 1536, 8191),
        scores=_recall(0.5439, 0.7281, 0.8070, 0.8509),
        matryoshka=True,
        note=_SERVICE,
    ),
    Known(
        *("openai:text-embedding-3-large", 3072, 8191),
        scores=_recall(0.6053, 0.7895, 0.8421, 0.9035),
        matryoshka=True,
        note=_SERVICE,
    ),
    Known(
        *("upstage:solar-embedding-1-large", 4096, 4000),
        scores=_recall(0.6579, 0.8421, 0.8947, 0.9386),
        note=_SERVICE,
    ),
    Known(
        *("cohere:embed-multilingual-v3.0", 1024, 512),
        languages=_HUNDRED,
        scores=_recall(0.3596, 0.5702, 0.6491, 0.7281),
        note=_SERVICE,
    ),
)
"""In the order of the card's families; the first is the default."""


def known(name: str) -> Known | None:
    """What is known of a model, by any name that finds it: upper and lower case are the same to the hub."""
    wanted = {name.lower(), f"sentence-transformers/{name}".lower()}
    return next((one for one in CATALOG if one.name.lower() in wanted), None)
