"""What is recognised of pages whose text is known, in eight conditions, and whether their questions still find them.

Pages are drawn by this program from texts that it knows (`tests/data/corpus` and the shared scans' truths), in fonts of
Debian packages (fonts-nanum, fonts-unfonts-core, fonts-baekmuk), and worn as scanners, faxes and cameras wear them.
Error rates are edits a character without white space. `--tool` reads the same pages by Tesseract's program with its own
page segmentation and `kor+eng`, as most tools do.
"""

from __future__ import annotations

import argparse
import io
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kosearch import ocr
from kosearch.ocr.reading import recognise

ROOT = Path(__file__).resolve().parents[2]
SCANS = ROOT.parent / "shared" / "cases" / "scans"
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
    "bilevel": 0.06,
    "noise": 0.11,
    "photo": 0.17,
    "columns": 0.06,
    "mixed": 0.07,
    "english": 0.02,
}
"""The most edits a character, in the mean over all texts."""
A4 = (8.27, 11.69)


def main() -> int:
    """Prints a row a condition; 1 where one is above its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks ocr", description=__doc__)
    parser.add_argument("--texts", type=int, default=12, help="how many pages")
    parser.add_argument("--only", help="a condition")
    parser.add_argument("--tool", action="store_true", help="also by tesseract -l kor+eng, with its own segmentation")
    arguments = parser.parse_args()
    engine = ocr.find()
    if isinstance(engine, ocr.Missing):
        print(engine)
        return 2
    fonts = [font for font in FONTS if Path(font).exists()]
    if not fonts:
        print("no Korean font: apt-get install fonts-nanum fonts-unfonts-core fonts-baekmuk")
        return 2
    print(f"{engine.version}; {arguments.texts} texts, {len(fonts)} fonts")
    failed = False
    print(f"{'condition':<10} {'rate':>6} {'worst':>6} {'limit':>6} {'s CPU':>6}{'   tool' if arguments.tool else ''}")
    for condition, limit in LIMITS.items():
        if arguments.only not in (None, condition):
            continue
        rates, seconds, others = [], [], []
        for number, (text, picture) in enumerate(pages(condition, arguments.texts, fonts)):
            begun = time.process_time()
            found = recognise(picture, engine, 120.0)
            seconds.append(time.process_time() - begun)
            rates.append(error_rate("\n".join(line.text for line in found.lines), text))
            if arguments.tool and number < 3:
                others.append(error_rate(by_tool(picture), text))
        rate = statistics.mean(rates)
        failed |= rate > limit
        row = f"{condition:<10} {rate:>6.3f} {max(rates):>6.3f} {limit:>6} {statistics.mean(seconds):>6.1f}"
        row += f" {statistics.mean(others):>6.3f}" if others else ""
        print(row + ("  too many" if rate > limit else ""), flush=True)
    return int(failed)


def texts(condition: str, count: int) -> list[str]:
    """Korean texts, or English, or both by turns."""
    korean = [path.read_text("utf-8") for path in sorted(SCANS.glob("ko_*.txt")) if "table" not in path.name]
    english = [path.read_text("utf-8") for path in sorted(SCANS.glob("en_*.txt"))]
    pool = english if condition == "english" else korean
    words = " ".join(" ".join(pool).split()).split(" ")
    drawn = random.Random(7)
    result = []
    for _ in range(count):
        start = drawn.randrange(max(1, len(words) - 180))
        chosen = words[start : start + 150]
        if condition == "mixed":
            latin = " ".join(english).split()
            place = drawn.randrange(max(1, len(latin) - 60))
            chosen = [one for pair in zip(chosen, latin[place : place + 60], strict=False) for one in pair]
        result.append(" ".join(chosen))
    return result


def pages(condition: str, count: int, fonts: list[str]) -> Iterator[tuple[str, Any]]:
    """Each text with its page as a picture of grey."""
    for number, text in enumerate(texts(condition, count)):
        dots = 150 if condition == "150 dpi" else 300 if condition == "6.5 pt" else 200
        points = 6.5 if condition == "6.5 pt" else 11
        image = drawn(text, fonts[number % len(fonts)], points, dots, columns=2 if condition == "columns" else 1)
        yield text, np.asarray(WORN.get(condition, lambda image, _: image)(image, random.Random(number)))


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


WORN: dict[str, Callable[[Image.Image, random.Random], Image.Image]] = {
    "rotated": rotated,
    "jpeg": jpeg,
    "bilevel": bilevel,
    "noise": noise,
    "photo": photo,
}


def by_tool(picture: Any) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    command = ["tesseract", "stdin", "stdout", "-l", "kor+eng"]
    return subprocess.run(command, input=stream.getvalue(), capture_output=True, check=True).stdout.decode()


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
