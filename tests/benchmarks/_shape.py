"""A model of the shape of another, with random weights: speed does not depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "bge-m3": {
        "num_hidden_layers": 24,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "vocab_size": 250_002,
        "max_position_embeddings": 8194,
        "type_vocab_size": 1,
        "pad_token_id": 1,
    }
}
"""`config.json` of BAAI/bge-m3, as far as it says how much is computed; its architecture is XLM-RoBERTa's."""


def make(name: str, tokenizer: Path, folder: Path) -> Path:
    """A model in the form of sentence-transformers, with the tokenizer of another, in a new folder of its name."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaModel

    torch.manual_seed(1)
    shape = SHAPES[name]
    plain = folder / "transformer"
    XLMRobertaModel(XLMRobertaConfig(**shape), add_pooling_layer=False).save_pretrained(plain)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(plain)
    steps = [
        Transformer(str(plain), max_seq_length=shape["max_position_embeddings"] - 2),
        Pooling(shape["hidden_size"], pooling_mode="cls"),
        Normalize(),
    ]
    SentenceTransformer(modules=steps, device="cpu").save(str(folder / name))
    return folder / name
