"""Files that are pictures, decoded with limits by Pillow."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kosearch.ocr.layout import Grey

MOST_PIXELS = 150_000_000
"""A0 at 300 dots an inch; a picture of more is not decoded."""
MOST_FRAMES = 10_000
_LONGEST_SIDE = 3600
"""A4 at 300 dots an inch; larger ones are made smaller, for the engine reads them no better."""
_DEEP = 256
LEAST_WIDTH, LEAST_HEIGHT = 300, 100
"""Smaller ones are signs and ornaments."""
_HEIF = re.compile(rb".{4}ftyp(?:he[iv][cxms]|mi[fa]1|msf1)", re.DOTALL)
"""What phones keep photos as…"""
_HEIF_PLUGINS = ("pi_heif", "pillow_heif")
"""…and what of Pillow's plug-ins decodes it: the first has the decoder alone, the second an encoder too (GPL)."""


class Unreadable(Exception):
    """The picture cannot be decoded; the message is a line for a person."""


def decodable() -> bool:
    """Whether pictures can be decoded at all."""
    return find_spec("PIL") is not None


def decoder_missing(data: bytes) -> str:
    """The command that installs what decodes this picture; "" where something does."""
    if not decodable():
        return "pip install 'kosearch[ocr]'"
    return "pip install pi-heif" if _HEIF.match(data) and _heif_plugin() is None else ""


def _heif_plugin() -> str | None:
    return next(filter(find_spec, _HEIF_PLUGINS), None)


def count(data: bytes) -> int:
    """How many pages a picture has: a TIFF may have many, of what moves only the first is read. Raises Unreadable."""
    with _opened(data) as image:
        return min(getattr(image, "n_frames", 1), MOST_FRAMES) if image.format == "TIFF" else 1


def frame(data: bytes, number: int) -> Grey:
    """A page of a picture. Raises Unreadable."""
    from PIL import ImageOps

    with _opened(data) as image:
        if number:
            image.seek(number)
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise Unreadable(f"a picture of too many pixels: {width} × {height}")
        return _grey(ImageOps.exif_transpose(image))


@contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if _HEIF.match(data) and (plugin := _heif_plugin()):
                import_module(plugin).register_heif_opener()
            with Image.open(io.BytesIO(data)) as image:
                yield image
        except (Unreadable, MemoryError):
            raise
        except Image.DecompressionBombError as error:
            raise Unreadable("a picture of too many pixels") from error
        except Exception as error:
            raise Unreadable(f"a picture that cannot be decoded: {error or type(error).__name__}") from error


def size(data: bytes) -> tuple[int, int]:
    """Width and height without decoding; (0, 0) for what is no picture."""
    try:
        with _opened(data) as image:
            width, height = image.size
            return width, height
    except Unreadable:
        return 0, 0


def _grey(image: Any) -> Grey:
    import numpy as np
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float32)
        most = float(values.max(initial=1.0))
        image = Image.fromarray((values / (_DEEP if most > _DEEP - 1 else 1)).clip(0, 255).astype(np.uint8))
    elif "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    image = image.convert("L")
    if max(image.size) > _LONGEST_SIDE:
        image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image, np.uint8)
