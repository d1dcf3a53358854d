"""What is recognised of pages whose text is known, in eleven conditions, and whether their questions still find them.

Pages are drawn by this program from texts that it knows (`../shared/eval`: a text a page, none twice; welfare_ko and
korquad1_dev by turns, cranfield_en for English), in fonts of Debian packages (fonts-nanum, fonts-unfonts-core,
fonts-baekmuk, fonts-liberation for English), and worn as scanners, faxes and cameras wear them, by the number that
`--seed` begins with. Error rates are edits a character without white space. `--scans` reads the shared scans instead,
`--odd` pages that no scanner should have given but some do.
`--questions` asks 40 questions of welfare_ko for 40 pages in the worn conditions by turns, among 400 other texts, and
asks the same for the original texts. `--tool` reads the same pages also by Tesseract's program with its own page
segmentation and `kor+eng` (tesseract-ocr-kor), as most tools do; `--ocrmypdf` by that program.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

import kosearch
from kosearch import ocr
from kosearch.ocr.pictures import frame
from kosearch.ocr.reading import recognise

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SCANS, EVAL = SHARED / "cases" / "scans", SHARED / "eval"
FONTS = [
    "/usr/share/fonts/truetype/nanum/NanumMyeongjo.ttf",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/truetype/unfonts-core/UnBatang.ttf",
    "/usr/share/fonts/truetype/baekmuk/batang.ttf",
]
LIMITS = {
    "clean": 0.02,
    "6.5 pt": 0.02,
    "rotated": 0.03,
    "jpeg": 0.03,
    "150 dpi": 0.03,
    "300 dpi": 0.03,
    "bilevel": 0.06,
    "noise": 0.11,
    "photo": 0.17,
    "columns": 0.06,
    "mixed": 0.07,
    "english": 0.02,
}
"""The most edits a character, in the mean over all texts."""
ODD_LIMITS = {
    "light on dark": 0.03,
    "pale": 0.05,
    "askew": 0.03,
    "on its side": 0.03,
    "two pages": 0.05,
    "below a photo": 0.15,
    "large letters": 0.1,
    "shining through": 0.15,
    "a seal": 0.1,
}
SCAN_LIMITS = {"plain": 0.03, "fax": 0.06, "columns": 0.06, "en_": 0.02, "photo": 0.17}
A4 = (8.27, 11.69)
LATIN_FONTS = ["/usr/share/fonts/truetype/liberation/LiberationSerif-Regular.ttf"]
DRAWABLE = re.compile(r"[\uac00-\ud7a3!-~\s]+")
"""What all fonts have; Hanja are not in the model."""
LONGEST, SHORTEST, FEW = 900, 350, 150
WORN_CONDITIONS = ("150 dpi", "bilevel", "noise", "photo")


def main() -> int:
    """Prints a row a condition; 1 where one is above its limit."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks ocr", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--texts", type=int, default=12, help="how many pages")
    parser.add_argument("--only", help="a condition")
    parser.add_argument("--seed", type=int, default=0, help="other texts, and other wear")
    parser.add_argument("--tool", action="store_true", help="also by tesseract -l kor+eng")
    parser.add_argument("--ocrmypdf", action="store_true", help="also by ocrmypdf -l kor+eng")
    parser.add_argument("--scans", action="store_true", help="the shared scans")
    parser.add_argument("--odd", action="store_true", help="odd pages")
    parser.add_argument("--questions", type=int, nargs="?", const=40, help="so many questions")
    arguments = parser.parse_args()
    engine = ocr.find()
    if isinstance(engine, ocr.Missing):
        print(engine)
        return 2
    fonts = [font for font in FONTS if Path(font).exists()]
    if not fonts:
        print("no Korean font: apt-get install fonts-nanum fonts-unfonts-core fonts-baekmuk")
        return 2
    if arguments.questions:
        return asked(arguments.questions, engine, fonts)
    tools = [by_tool] * arguments.tool + [by_ocrmypdf] * arguments.ocrmypdf
    print(f"{engine.version}; {arguments.texts} texts, {len(fonts)} fonts")
    print(
        f"{'condition':<16} {'rate':>6} {'worst':>6} {'limit':>6} {'s CPU':>6}  {'  '.join(t.__name__ for t in tools)}"
    )
    failed = False
    sets = scans() if arguments.scans else worn(arguments, fonts, ODD_LIMITS if arguments.odd else LIMITS)
    for condition, limit, shown in sets:
        rates, seconds = [], []
        others: list[list[float]] = [[] for _ in tools]
        for text, picture in shown:
            begun = time.process_time()
            found = recognise(picture, engine, ocr.PAGE_SECONDS)
            seconds.append(time.process_time() - begun)
            rates.append(error_rate("\n".join(line.text for line in found.lines), text))
            for tool, kept in zip(tools, others, strict=True):
                kept.append(error_rate(tool(picture), text))
        rate = statistics.mean(rates)
        failed |= rate > limit
        row = f"{condition:<16} {rate:>6.3f} {max(rates):>6.3f} {limit:>6} {statistics.mean(seconds):>6.1f}"
        row += "".join(f"  {statistics.mean(kept):>7.3f}" for kept in others)
        print(row + ("  too many" if rate > limit else ""), flush=True)
    return int(failed)


Shown = Iterator[tuple[str, Any]]
"""Texts, each with its page as a picture of grey."""


def worn(
    arguments: argparse.Namespace, fonts: list[str], limits: dict[str, float]
) -> Iterator[tuple[str, float, Shown]]:
    """Each condition with its limit and its pages."""
    for condition, limit in limits.items():
        if arguments.only in (None, condition):
            yield condition, limit, pages(condition, arguments.texts, fonts, arguments.seed)


def scans() -> Iterator[tuple[str, float, Shown]]:
    """The shared scans, each as a condition of its own."""
    for path in sorted(SCANS.glob("*.txt")):
        [picture] = [other for other in SCANS.glob(f"{path.stem}.*") if other.suffix != ".txt"]
        limit = next((limit for name, limit in SCAN_LIMITS.items() if name in path.stem), max(LIMITS.values()))
        yield path.stem, limit, iter([(path.read_text("utf-8"), frame(picture.read_bytes(), 0))])


def texts(condition: str, count: int, seed: int) -> list[str]:
    """Korean texts, or English, or both word by word: a page of each, none twice."""
    english = corpus("cranfield_en")
    pair = zip(corpus("welfare_ko"), corpus("korquad1_dev"), strict=False)
    korean = [one for both in pair for one in both]
    drawn = random.Random(f"{seed} {condition}")
    if condition == "english":
        return drawn.sample(english, count)
    chosen = drawn.sample(korean, count)
    if condition == "large letters":
        return [one[:FEW].rsplit(" ", 1)[0] for one in chosen]
    if condition != "mixed":
        return chosen
    return [
        " ".join(word for both in zip(one.split(), other.split(), strict=False) for word in both)
        for one, other in zip(chosen, drawn.sample(english, count), strict=True)
    ]


def corpus(name: str) -> list[str]:
    """The texts of a shared collection that fill a part of a page and can be drawn in any font."""
    with (EVAL / name / "corpus.jsonl").open(encoding="utf-8") as file:
        found = (" ".join(json.loads(line)["text"].split()) for line in file)
        return [text[:LONGEST].rsplit(" ", 1)[0] for text in found if len(text) > SHORTEST and DRAWABLE.fullmatch(text)]


def pages(condition: str, count: int, fonts: list[str], seed: int = 0) -> Shown:
    """Each text with its page as a picture of grey."""
    for number, text in enumerate(texts(condition, count, seed)):
        latin = condition == "english" and number % 2 and Path(LATIN_FONTS[0]).exists()
        font = LATIN_FONTS[0] if latin else fonts[number % len(fonts)]
        yield text, page(text, condition, font, random.Random(f"{seed} {number}"))


def page(text: str, condition: str, font: str, chance: random.Random) -> Any:
    """A text on a page as it looks in a condition."""
    dots = 150 if condition == "150 dpi" else 300 if condition in ("300 dpi", "6.5 pt") else 200
    points = {"6.5 pt": 6.5, "large letters": 36}.get(condition, 11)
    image = drawn(text, font, points, dots, columns=2 if condition == "columns" else 1)
    if condition == "two pages":
        middle = text.find(" ", len(text) // 2)
        image = spread(*(drawn(part, font, points, dots, columns=1) for part in (text[:middle], text[middle:])))
    return np.asarray(WORN.get(condition, lambda image, _: image)(image, chance))


def drawn(text: str, font: str, points: float, dots: int, *, columns: int) -> Image.Image:
    """An A4 page of paragraphs."""
    width, height = (round(side * dots) for side in A4)
    image = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(image)
    face = ImageFont.truetype(font, round(points * dots / 72))
    margin, gutter = round(0.9 * dots), round(0.35 * dots)
    across = (width - 2 * margin - gutter * (columns - 1)) // columns
    lines = list(wrapped(text, face, across))
    step = round(points * dots / 72 * 1.6)
    each = -(-len(lines) // columns)
    for number, line in enumerate(lines):
        column, row = divmod(number, each)
        pen.text((margin + column * (across + gutter), margin + row * step), line, font=face, fill=0)
    return image


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int) -> Iterator[str]:
    line = ""
    for word in text.split(" "):
        if line and face.getlength(f"{line} {word}") > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


def rotated(image: Image.Image, chance: random.Random) -> Image.Image:
    return image.rotate(chance.uniform(-1.5, 1.5), Image.Resampling.BICUBIC, fillcolor=255)


def jpeg(image: Image.Image, _: random.Random) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=30)
    return Image.open(stream).convert("L")


def bilevel(image: Image.Image, chance: random.Random) -> Image.Image:
    worn = noisy(image, chance, 25).point(lambda value: 255 if value > 150 else 0)
    return worn.convert("L")


def noise(image: Image.Image, chance: random.Random) -> Image.Image:
    return noisy(image.filter(ImageFilter.GaussianBlur(0.8)), chance, 45)


def noisy(image: Image.Image, chance: random.Random, sigma: float) -> Image.Image:
    grain = np.random.default_rng(chance.randrange(1 << 30)).normal(0, sigma, (image.height, image.width))
    return Image.fromarray(np.clip(np.asarray(image, float) + grain, 0, 255).astype(np.uint8))


def photo(image: Image.Image, chance: random.Random) -> Image.Image:
    """From a little aside, in uneven light, not quite sharp."""
    width, height = image.size
    lean = 0.03 * width
    corners = (-lean, -lean / 2, 0, height + lean / 3, width + lean / 2, height, width, -lean / 2)
    image = image.transform(image.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor=90)
    light = np.linspace(0.55, 1.0, width)[None, :] * np.linspace(1.0, 0.8, height)[:, None]
    lit = Image.fromarray((np.asarray(image, float) * light).astype(np.uint8))
    return noisy(lit.filter(ImageFilter.GaussianBlur(1.1)), chance, 8)


def light_on_dark(image: Image.Image, _: random.Random) -> Image.Image:
    return ImageOps.invert(image)


def pale(image: Image.Image, chance: random.Random) -> Image.Image:
    return noisy(image.point(lambda value: 130 + value * 60 // 255), chance, 4)


def askew(image: Image.Image, chance: random.Random) -> Image.Image:
    angle = chance.choice((-1, 1)) * chance.uniform(4, 13)
    return image.rotate(angle, Image.Resampling.BICUBIC, fillcolor=255, expand=True)


def on_its_side(image: Image.Image, chance: random.Random) -> Image.Image:
    return image.rotate(chance.choice((90, 180, 270)), expand=True)


def spread(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pages of a book, with the dark of its fold between them."""
    both = Image.new("L", (2 * left.width, left.height), 255)
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    fold = round(0.01 * both.width)
    ImageDraw.Draw(both).rectangle((left.width - fold // 2, 0, left.width + fold // 2, both.height), fill=90)
    return both


def below_a_photo(image: Image.Image, chance: random.Random) -> Image.Image:
    blobs = np.random.default_rng(chance.randrange(1 << 30)).integers(0, 255, (40, 90)).astype(np.uint8)
    photo = Image.fromarray(blobs).resize((round(0.8 * image.width), image.height // 4), Image.Resampling.BICUBIC)
    page = Image.new("L", (image.width, image.height + photo.height), 255)
    page.paste(photo, (image.width // 10, image.height // 20))
    page.paste(image, (0, photo.height))
    return page


def shining_through(image: Image.Image, chance: random.Random) -> Image.Image:
    """What stands on the other side of the page."""
    behind = 255 - (255 - np.asarray(ImageOps.flip(image), float)) * 0.25
    return noisy(Image.fromarray(np.minimum(np.asarray(image), behind).astype(np.uint8)), chance, 5)


def sealed(image: Image.Image, chance: random.Random) -> Image.Image:
    """A red seal over the text, as a grey picture has it."""
    side = image.width // 6
    left, top = chance.randrange(image.width // 4, image.width // 2), image.height // 7
    ImageDraw.Draw(image).ellipse((left, top, left + side, top + side), outline=86, width=side // 20)
    return image


WORN: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "rotated": rotated,
    "jpeg": jpeg,
    "bilevel": bilevel,
    "noise": noise,
    "photo": photo,
    "light on dark": light_on_dark,
    "pale": pale,
    "askew": askew,
    "on its side": on_its_side,
    "below a photo": below_a_photo,
    "shining through": shining_through,
    "a seal": sealed,
}


def by_tool(picture: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    command = ["tesseract", "stdin", "stdout", "-l", "kor+eng"]
    return subprocess.run(command, input=stream.getvalue(), capture_output=True, check=True).stdout.decode()


def by_ocrmypdf(picture: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(picture).save(f"{folder}/a.png", dpi=(200, 200))
        command = [
            "ocrmypdf",
            "-q",
            "-l",
            "kor+eng",
            "--sidecar",
            f"{folder}/a.txt",
            f"{folder}/a.png",
            f"{folder}/a.pdf",
        ]
        subprocess.run(command, check=True)
        return Path(folder, "a.txt").read_text("utf-8")


def asked(count: int, engine: ocr.Engine, fonts: list[str]) -> int:
    """Prints how many questions find their page first, by what was recognised and by the original text."""
    folder = EVAL / "welfare_ko"
    with (folder / "corpus.jsonl").open(encoding="utf-8") as file:
        known = {one["id"]: one["text"] for one in map(json.loads, file)}
    with (folder / "queries.jsonl").open(encoding="utf-8") as file:
        questions = {one["id"]: one["text"] for one in map(json.loads, file)}
    with (folder / "qrels.tsv").open(encoding="utf-8") as file:
        asks = {row["doc-id"]: questions[row["query-id"]] for row in csv.DictReader(file, delimiter="\t")}
    able = [one for one in asks if DRAWABLE.fullmatch(known[one]) and len(known[one]) > SHORTEST // 2]
    chosen = random.Random(1).sample(able, count)
    others = [one for one in known if one not in chosen][: 10 * count]
    original = {one: known[one] for one in (*chosen, *others)}
    read = dict(original)
    for number, one in enumerate(chosen):
        condition = WORN_CONDITIONS[number % len(WORN_CONDITIONS)]
        text = " ".join(known[one].split())[: 2 * LONGEST]
        picture = page(text, condition, fonts[number // len(WORN_CONDITIONS) % len(fonts)], random.Random(number))
        read[one] = "\n".join(line.text for line in recognise(picture, engine, ocr.PAGE_SECONDS).lines)
        original[one] = text
    first = {
        name: sum(firsts(texts, {one: asks[one] for one in chosen}))
        for name, texts in (("original", original), ("recognised", read))
    }
    print(f"hit@1 of {count} questions among {len(original)} texts: {first}")
    return int(first["recognised"] < first["original"] - 1)


def firsts(texts: dict[str, str], asks: dict[str, str]) -> list[bool]:
    """Of each question, whether its text is the first hit."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "files")
        files.mkdir()
        for name, text in texts.items():
            (files / f"{name}.txt").write_text(text, "utf-8")
        with kosearch.open(Path(folder, "index")) as index:
            index.index(files)
            answers = index.search(list(asks.values()), k=1)
        return [
            bool(answer.hits) and Path(answer.hits[0].path).stem == one
            for one, answer in zip(asks, answers, strict=True)
        ]


def error_rate(found: str, truth: str) -> float:
    """Edits a character, without white space."""
    found, truth = "".join(found.split()), "".join(truth.split())
    letters = np.array(list(truth))
    before = np.arange(len(truth) + 1)
    for row, letter in enumerate(found, 1):
        here = np.minimum(before[1:] + 1, before[:-1] + (letters != letter))
        here = np.concatenate(([row], here))
        before = np.minimum.accumulate(here - np.arange(len(here))) + np.arange(len(here))
    return float(before[-1] / max(len(truth), 1))


if __name__ == "__main__":
    raise SystemExit(main())
