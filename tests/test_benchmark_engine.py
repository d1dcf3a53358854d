"""The measurement of the engine runs, and its floor is the one that torch counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COUNT = """
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import XLMRobertaConfig, XLMRobertaModel
from tests.benchmarks._floor import operations

shape = dict(num_hidden_layers=3, hidden_size=96, num_attention_heads=4, intermediate_size=256, vocab_size=50,
             max_position_embeddings=99, pad_token_id=1)
model = XLMRobertaModel(XLMRobertaConfig(**shape, attn_implementation="eager"), add_pooling_layer=False).eval()
with torch.inference_mode(), FlopCounterMode(display=False) as counter:
    model(torch.full((1, 37), 5))
print(counter.get_total_flops() == operations(shape, [37]))
"""


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_floor_is_what_torch_counts() -> None:
    pytest.importorskip("transformers")
    assert run("-c", COUNT) == "True\n"


def test_it_measures() -> None:
    pytest.importorskip("sentence_transformers")
    printed = run("-m", "tests.benchmarks", "engine", "--pages", "10", "--rounds", "1")
    assert "kosearch, float32" in printed
    assert "sentence-transformers, float32" in printed
