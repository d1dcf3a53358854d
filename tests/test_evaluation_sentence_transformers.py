"""The measures of sentence-transformers' own evaluator, from the same vectors, to 1e-6."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from run_making import Similarity, vector_run

from kosearch.evaluation.measures import Family, evaluate

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

DOCUMENTS = [f"d{number}" for number in range(300)]
QUESTIONS = [f"q{number}" for number in range(40)]


class Encoder:
    """What the evaluator asks of a model: the vectors of texts, which here are their own ids."""

    def __init__(self, vectors: dict[str, npt.NDArray[np.float32]]) -> None:
        self.vectors = vectors

    def encode_query(self, texts: list[str], **_: object) -> object:
        import torch

        return torch.from_numpy(np.stack([self.vectors[text] for text in texts]))

    encode_document = encode_query


@pytest.mark.parametrize("ties", [False, True])
def test_both_similarities_agree(ties: bool) -> None:
    evaluation = pytest.importorskip("sentence_transformers.sentence_transformer.evaluation")
    from sentence_transformers.util import cos_sim, dot_score

    generator = np.random.default_rng(7)
    # Whole numbers tie in dot product; and no rounding can part them.
    drawn = generator.integers(-2, 3, (340, 4)) if ties else generator.standard_normal((340, 24)) * 3
    vectors = dict(zip([*DOCUMENTS, *QUESTIONS], drawn.astype(np.float32), strict=True))
    qrels = {
        question: dict.fromkeys(generator.choice(DOCUMENTS, size=generator.integers(1, 150), replace=False).tolist(), 1)
        for question in QUESTIONS[:-1]
    }
    functions = {"dot": dot_score} if ties else {"cosine": cos_sim, "dot": dot_score}
    theirs = evaluation.InformationRetrievalEvaluator(
        {question: question for question in QUESTIONS},
        {document: document for document in DOCUMENTS},
        {question: set(relevant) for question, relevant in qrels.items()},
        score_functions=functions,
    ).compute_all_metrics(Encoder(vectors))
    for name in functions:
        run = vector_run(
            QUESTIONS,
            np.stack([vectors[question] for question in QUESTIONS]),
            DOCUMENTS,
            np.stack([vectors[document] for document in DOCUMENTS]),
            similarity=Similarity(name),
        )
        ours = evaluate(run, qrels).means[Family.INFORMATION_RETRIEVAL]
        expected = {
            f"{measure.removesuffix('@k')}@{k}": float(value)
            for measure, values in theirs[name].items()
            for k, value in values.items()
        }
        assert {measure.lower(): value for measure, value in ours.items()} == pytest.approx(expected, abs=1e-6)
