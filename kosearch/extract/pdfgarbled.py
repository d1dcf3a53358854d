"""Pages whose text is garbage, since their fonts do not say what their glyphs mean, read again by dochan.

dochan looks into the embedded fonts themselves, which is slow, and right where pdfium has nothing to go by.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from kosearch.extract.blocks import TextBuilder
from kosearch.extract.dochan_model import Renderer, parse
from kosearch.extract.pdfpages import Page, bare_lines
from kosearch.extract.pdfstructure import Structure

_EXPECTED = re.compile(r"[!-~\u00b7\u2010-\u2027\u2030-\u205e\u3000-\u303f\u3131-\u318e\uac00-\ud7a3\uff01-\uff5e]")
_LEAST_SHARE = 0.6
_FEWEST = 10
# Other scripts are not expected either, but garbage also holds characters that no text does.
_LEAST_ODD = 0.02
_ODD = frozenset(("Cn", "Cc", "Co"))
_MOST_PAGES = 300


def read_garbled_again(pages: Sequence[Page], structure: Structure) -> list[Page]:
    """The pages, those with garbage replaced where dochan makes more sense of them."""
    numbers = [number for number, page in enumerate(pages) if garbled(_text(page))][:_MOST_PAGES]
    subset = structure.subset(numbers) if numbers else b""
    result = list(pages)
    if subset:
        for section in parse(subset).sections:
            place = getattr(section.provenance, "page", None) or 0
            if not 0 < place <= len(numbers):
                continue
            builder = TextBuilder()
            Renderer(builder).write(section.elements)
            number = numbers[place - 1]
            if _share(builder.text) > _share(_text(pages[number])):
                result[number] = Page(bare_lines(builder.text), pages[number].image)
    return result


def garbled(text: str) -> bool:
    """Whether this is garbage: mostly not Hangul, ASCII or common punctuation, and some of it no text at all."""
    characters = "".join(text.split())
    if len(characters) < _FEWEST or _share(characters) >= _LEAST_SHARE:
        return False
    odd = sum(unicodedata.category(character) in _ODD or character == "\ufffd" for character in characters)
    return odd >= _LEAST_ODD * len(characters)


def _share(text: str) -> float:
    characters = "".join(text.split())
    return len(_EXPECTED.findall(characters)) / len(characters) if characters else 0.0


def _text(page: Page) -> str:
    return " ".join(line.text for line in page.lines)
