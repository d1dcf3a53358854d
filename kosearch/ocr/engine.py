"""The recogniser: Tesseract, in this process (tesserocr) or as the program, with a model that the system has.

Nothing is downloaded here. What is missing is one line that names the command for this system.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kosearch.errors import ModelError
from kosearch.system import make_private, replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Grey = NDArray[np.uint8]
    """(height, width): 0 is black."""

MODEL = "Hangul"
"""Tesseract's model of the script: Korean with Latin letters and figures. Hanja and rare syllables are not in it."""
LATIN_MODEL = "eng"
"""It reads English words among Korean ones better."""
MODELS_URL = "https://github.com/tesseract-ocr/tessdata_fast/raw/4.1.0"
_PINNED = {
    "script/Hangul": "cae2d12b8cdac6b62643b65915bec347e80970adc55228ca42ac1ec8909b198a",
    "eng": "7d4322bd2a7749724879683fc3912cb542f19906c83bcc1a52132556427170b2",
}
"""The models that are fetched, by where they stand below the URL, with their SHA-256."""
_LARGEST_MODEL = 8 << 20
_PATIENCE = 60.0
"""Seconds without an answer."""
_CROWDED = 5
"""So many times as long as its processor time a picture may take where other programs have the processor."""
_FALLBACK = ("kor", "eng")
_SCRIPTS = "osd"
"""The model by which Tesseract tells scripts apart."""
_SCRIPTS_ALONE = 0
"""Tesseract's page segmentation: which script and which way up, and nothing else."""
_UNIFORM_BLOCK = 6
"""Tesseract's page segmentation: one block of text. Its own search for blocks takes Korean lines apart."""
_VARIABLE = "preserve_interword_spaces"
_COLUMNS, _WORD = 12, "5"
"""Of Tesseract's table, and the rows in it that are words."""
_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata",
    "/usr/share/tesseract-ocr/4.00/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
    r"C:\Program Files\Tesseract-OCR\tessdata",
)


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a picture, in its pixels from the upper left; `line` counts the lines of the picture."""

    text: str
    left: int
    top: int
    right: int
    bottom: int
    confidence: float
    """0 to 1."""
    line: int
    spaced: bool = True
    """Whether a space stands before it: Tesseract takes Korean words apart into syllables."""


class TooSlow(Exception):
    """A picture took longer than it may."""


class Budget:
    """The processor time that one picture may take, of this process and of those it has begun: a crowded machine takes
    nothing from it."""

    def __init__(self, seconds: float) -> None:
        self._end = _processor_seconds() + seconds

    def left(self) -> float:
        """Seconds; raises TooSlow where there are none."""
        left = self._end - _processor_seconds()
        if left <= 0:
            raise TooSlow
        return left


def _processor_seconds() -> float:
    return sum(os.times()[:4])


class Engine(Protocol):
    """What recognises the words in a block of lines."""

    @property
    def version(self) -> str:
        """Engine, its version and its models: what it recognises may change with each. Without white space."""

    @property
    def latin(self) -> Engine | None:
        """What reads English words among Korean ones better, where there is its model."""

    def words(self, picture: Grey, budget: Budget) -> list[Word]:
        """The words, line by line; raises TooSlow where the budget is spent."""

    def script(self, picture: Grey, budget: Budget) -> str:
        """The script of a page as Tesseract names it, "Han" or "Latin"; "" where nothing tells."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why nothing can be recognised, and the command that changes it."""

    what: str
    command: str
    version: str = "none"

    def __str__(self) -> str:
        return f"{self.what}: {self.command}"


@dataclass(frozen=True, slots=True)
class Model:
    """The files by which Tesseract reads: a folder, and names in it joined by a plus sign."""

    folder: Path
    languages: str

    @property
    def fingerprint(self) -> str:
        """Eight digits that tell the files apart."""
        digest = hashlib.blake2b(digest_size=4)
        for name in self.languages.split("+"):
            with (self.folder / f"{name}.traineddata").open("rb") as file:
                digest.update(hashlib.file_digest(file, "blake2b").digest())
        return digest.hexdigest()


@cache
def find(folder: Path | None = None) -> Engine | Missing:
    """The engine of this machine; `folder` is where `kosearch models pull ocr` keeps its model."""
    model = find_model(folder)
    latin = _first_model(LATIN_MODEL, folder) if model and model.languages == MODEL else None
    scripts = _first_model(_SCRIPTS, folder)
    inside, program = find_spec("tesserocr") is not None, shutil.which("tesseract")
    if not inside and program is None:
        return Missing("no engine for OCR is installed", "pip install 'kosearch[ocr]'")
    if find_spec("PIL") is None:
        return Missing("nothing is installed that decodes pictures", "pip install pillow")
    if model is None:
        return _no_model()
    return _InProcess(model, latin, scripts) if inside else _Program(str(program), model, latin, scripts)


def find_model(folder: Path | None = None, environ: Mapping[str, str] = os.environ) -> Model | None:
    """The first model that there is: of the Korean script, else Korean and English together."""
    folders = list(_folders(folder, environ))
    for place in folders:
        for below in (place, place / "script"):
            if (below / f"{MODEL}.traineddata").is_file():
                return Model(below, MODEL)
    for place in folders:
        if all((place / f"{name}.traineddata").is_file() for name in _FALLBACK):
            return Model(place, "+".join(_FALLBACK))
    return None


def _first_model(name: str, folder: Path | None) -> Model | None:
    """The first file of this name that there is."""
    for place in _folders(folder, os.environ):
        if (place / f"{name}.traineddata").is_file():
            return Model(place, name)
    return None


def pull(folder: Path, url: str = MODELS_URL) -> Path:
    """Download the models of the Korean script and of English (Apache-2.0) into a folder; what is there already stays.

    Returns the folder. Raises ModelError.
    """
    for name, digest in _PINNED.items():
        target = folder / _file_of(name)
        if not target.is_file() or hashlib.sha256(target.read_bytes()).hexdigest() != digest:
            _fetch(f"{url}/{name}.traineddata", digest, target)
    find.cache_clear()
    return folder


def pulled_files() -> dict[str, str]:
    """The files that `pull` puts into its folder, with their SHA-256."""
    return {_file_of(name): digest for name, digest in _PINNED.items()}


def _file_of(name: str) -> str:
    return f"{Path(name).name}.traineddata"


def _fetch(url: str, digest: str, target: Path) -> None:
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=_PATIENCE) as answer:
            data = answer.read(_LARGEST_MODEL)
    except (OSError, ValueError) as error:
        raise ModelError(f"{url} cannot be fetched: {error}", "kosearch models pull ocr") from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{url} is not the file that is expected", "kosearch models pull ocr")
    make_private(target.parent)
    with replacing(target) as file:
        file.write(data)


def _folders(folder: Path | None, environ: Mapping[str, str]) -> Iterator[Path]:
    if prefix := environ.get("TESSDATA_PREFIX"):
        yield from (Path(prefix), Path(prefix) / "tessdata")
    if folder is not None:
        yield folder
    yield from map(Path, _FOLDERS)


def _no_model() -> Missing:
    pull = "kosearch models pull ocr"
    if shutil.which("apt-get"):
        return Missing(
            "no Korean model for OCR is installed",
            f"apt-get install tesseract-ocr-script-hang tesseract-ocr-eng, or {pull}",
        )
    if sys.platform == "darwin":
        return Missing("no Korean model for OCR is installed", f"brew install tesseract-lang, or {pull}")
    return Missing("no Korean model for OCR is installed", pull)


class _InProcess:
    """Tesseract as a library. Loaded at the first picture: a model takes a tenth of a second and 60 MB."""

    def __init__(self, model: Model, latin: Model | None = None, scripts: Model | None = None) -> None:
        from importlib.metadata import version

        self._model = model
        self._scripts = scripts
        self._api: Any = None
        self.version = f"tesserocr-{version('tesserocr')}-{_named(model, latin)}"
        self.latin = _InProcess(latin) if latin else None

    def words(self, picture: Grey, budget: Budget) -> list[Word]:
        if self._api is None:
            os.environ.setdefault("OMP_THREAD_LIMIT", "1")
            import tesserocr

            self._api = tesserocr.PyTessBaseAPI(
                path=str(self._model.folder), lang=self._model.languages, psm=_UNIFORM_BLOCK
            )
            self._api.SetVariable(_VARIABLE, "1")
            self._api.SetVariable("debug_file", os.devnull)
        height, width = picture.shape
        try:
            # Tesseract knows the time of day alone. It gets more of that where others had the processor.
            patience = budget.left()
            while True:
                self._api.SetImageBytes(picture.tobytes(), width, height, 1, width)
                if self._api.Recognize(round(patience * 1000)):
                    return list(_words(self._api.GetTSVText(0), self._api.GetUTF8Text()))
                patience = _CROWDED * max(patience, budget.left())
        finally:
            self._api.Clear()

    def script(self, picture: Grey, budget: Budget) -> str:
        if self._scripts is None:
            return ""
        import tesserocr

        height, width = picture.shape
        with tesserocr.PyTessBaseAPI(
            path=str(self._scripts.folder), lang=self._scripts.languages, psm=_SCRIPTS_ALONE
        ) as api:
            api.SetVariable("debug_file", os.devnull)
            api.SetImageBytes(picture.tobytes(), width, height, 1, width)
            found = api.DetectOrientationScript()
        budget.left()
        return str(found["script_name"]) if found else ""


class _Program:
    """Tesseract as the program of that name, begun for each picture."""

    def __init__(self, program: str, model: Model, latin: Model | None = None, scripts: Model | None = None) -> None:
        import subprocess

        self._program, self._model, self._scripts = program, model, scripts
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
        self.version = f"tesseract-{said[1] if len(said) > 1 else 0}-{_named(model, latin)}"
        self.latin = _Program(program, latin) if latin else None

    def words(self, picture: Grey, budget: Budget) -> list[Word]:
        rows: list[str] = []
        lines: list[str] = []
        options = ("--psm", str(_UNIFORM_BLOCK), "-c", f"{_VARIABLE}=1", "txt", "tsv")
        for line in self._said(picture, budget, self._model, *options).split("\n"):
            (rows if line.count("\t") >= _COLUMNS - 1 else lines).append(line)
        return list(_words("\n".join(rows), "\n".join(lines)))

    def script(self, picture: Grey, budget: Budget) -> str:
        import subprocess

        if self._scripts is None:
            return ""
        try:
            said = self._said(picture, budget, self._scripts, "--psm", str(_SCRIPTS_ALONE))
        except subprocess.CalledProcessError:  # there is too little to tell by
            return ""
        found = re.search(r"^Script: (\w+)", said, re.MULTILINE)
        return found[1] if found else ""

    def _said(self, picture: Grey, budget: Budget, model: Model, *options: str) -> str:
        """What the program prints of a picture."""
        import subprocess

        height, width = picture.shape
        command = (self._program, "stdin", "stdout", "--tessdata-dir", str(model.folder), "-l", model.languages)
        process = subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        )
        left = budget.left()
        _limit(process.pid, left)
        try:
            out, _ = process.communicate(
                b"P5 %d %d 255\n" % (width, height) + picture.tobytes(), timeout=_CROWDED * left
            )
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise TooSlow from error
        if process.returncode:
            budget.left()
            raise subprocess.CalledProcessError(process.returncode, command)
        return out.decode("utf-8", "replace")


def _named(*models: Model | None) -> str:
    return "+".join(f"{model.languages}-{model.fingerprint}" for model in models if model)


def _limit(pid: int, seconds: float) -> None:
    """Linux ends a process that has used so much processor time."""
    if sys.platform == "linux":
        import resource

        with suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))


def _words(table: str, text: str) -> Iterator[Word]:
    """Tesseract's table of words, with what it thinks of each; where there are spaces, its text alone says."""
    line, place, at = -1, "", 0
    for row in table.split("\n"):
        fields = row.split("\t", _COLUMNS - 1)
        if len(fields) < _COLUMNS or fields[0] != _WORD or not (word := fields[-1].strip()):
            continue
        if (here := ".".join(fields[2:5])) != place:
            line, place = line + 1, here
        start = text.find(word, at)
        spaced = start != at
        at = at if start < 0 else start + len(word)
        left, top, width, height = map(int, fields[6:10])
        sure = max(float(fields[10]), 0.0) / 100
        yield Word(word, left, top, left + width, top + height, sure, line, spaced)
