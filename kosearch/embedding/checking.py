"""Does a model still give the vectors that it gave, and how fast?

The first check of a model computes its vectors in float32 and keeps them in the cache, by the model's
fingerprint; those of the bundled model come with kosearch. What is compared is what indexing uses for
many passages.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kosearch import embedding
from kosearch.embedding.models import SAME_COSINE, Model
from kosearch.embedding.tokenizer import load_tokenizer
from kosearch.system import replacing

if TYPE_CHECKING:
    from kosearch.records import Vectors

TEXTS = (
    "사용하지 않은 연차는 다음 해 3월 말까지 이월할 수 있다.",
    "보안취약점 CVE-2024-1234의 patch를 server에 적용하는 방법",
    "제8조(연차의 이월) ① 이월한 연차가 5일을 넘으면 넘는 일수는 수당으로 지급한다.",
    "When the orange light blinks, the boiler needs descaling.",
    "2024년 2월 소비자물가는 3.1% 올랐다.",
    "짧다",
    "",
    "국가는 재해를 예방하고 그 위험으로부터 국민을 보호하기 위하여 노력하여야 한다. " * 12,
)
"""Korean, English and mixed; short, empty and long."""
SHIPPED = Path(__file__).with_name("expected_vectors.json")
_SECONDS = 2.0
"""How long speed is measured, at least."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found."""

    model: Model
    first: bool
    """Whether there was nothing to compare with, so that this check's vectors are kept for the next."""
    cosines: tuple[float, ...]
    """Of each text's vector with the expected one, in the order of TEXTS."""
    tokens_per_second: float

    @property
    def passed(self) -> bool:
        """Whether every vector is the expected one."""
        return min(self.cosines) >= SAME_COSINE


def check(model: Model, device: str, cache_dir: Path) -> Check:
    """Embed the texts, compare, and measure. Raises ModelError where the model can't be loaded."""
    kept = cache_dir / "checks" / f"{model.fingerprint}.json"
    expected = _read(SHIPPED, model.fingerprint)
    expected = _read(kept, model.fingerprint) if expected is None else expected
    first = expected is None
    if expected is None:
        expected = embedding.load(model, device, precision="float32").embed_passages(TEXTS)
        _write(kept, model.fingerprint, expected)
    embedder = embedding.load(model, device)
    found = embedder.embed_passages(TEXTS)
    cosines = np.einsum("ij,ij->i", found.astype(np.float64), expected.astype(np.float64))
    return Check(model, first, tuple(cosines.tolist()), _speed(model, embedder))


def _speed(model: Model, embedder: embedding.Embedder) -> float:
    """Tokens a second over passages of ordinary length, in growing batches until it has taken long enough."""
    passage = TEXTS[-1]
    tokens = len(load_tokenizer(model).encode(model.prompts.passage + passage).ids)
    count = 1
    while True:
        begun = time.perf_counter()
        embedder.embed_passages([passage] * count)
        seconds = time.perf_counter() - begun
        if seconds >= _SECONDS:
            return tokens * count / seconds
        count *= 4 if seconds < _SECONDS / 4 else 2


def encode(fingerprint: str, vectors: Vectors) -> str:
    """Vectors as JSON, by the fingerprint of the model that gave them: float16, base64."""
    blobs = [base64.b64encode(row.astype("<f2").tobytes()).decode() for row in vectors]
    return json.dumps({fingerprint: blobs}, indent=1)


def _read(path: Path, fingerprint: str) -> Vectors | None:
    """The vectors that are kept for a model, of unit length; None where there are none of these texts."""
    try:
        blobs: Sequence[str] = json.loads(path.read_text(encoding="utf-8"))[fingerprint]
        rows = np.stack([np.frombuffer(base64.b64decode(blob), "<f2").astype(np.float32) for blob in blobs])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit if len(unit) == len(TEXTS) else None


def _write(path: Path, fingerprint: str, vectors: Vectors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(encode(fingerprint, vectors).encode())
