"""What Word draws for symbol fonts, and for fields that keep no result: symbols, formulas, readings of characters.

ECMA-376 part 1, 17.16.5: SYMBOL; EQ is Word's older form of ruby, circled characters and fractions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SYMBOL = re.compile(r'\s*SYMBOL\s+(?:"(?P<sign>.)"|(?P<number>0x[0-9a-f]{1,6}|\d{1,7}))(?P<switches>.*)', re.I | re.S)
_FONT = re.compile(r'\\f\s*(?:"([^"]*)"|(\S+))', re.IGNORECASE)
_FORMULA = re.compile(r"\s*EQ\s(.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = re.compile(r'\\\*\s*(?:"[^"]*"|[^\s\\]+)\s?')
_CONTROLS = re.compile(r"[\x00-\x1f]")
_SWITCH = re.compile(r"\\([a-z]{1,2})\s*(\d*)\s*", re.IGNORECASE)
_BRACKET = re.compile(r"\\[blr]c\\(.)\s*", re.IGNORECASE)
_RINGS = frozenset("○◯〇□△▽◇◎●")
_SIGNS = {"su": "∑", "pr": "∏"}
_LARGEST = 0x10FFFF
_DEEPEST = 20
_LONGEST = 2000
_WINGDINGS = {
    0x21: "✏", 0x28: "☎", 0x2A: "✉", 0x36: "⌛", 0x41: "✌", 0x46: "☞", 0x4A: "☺", 0x6C: "●", 0x6D: "❍", 0x6E: "■",
    0x6F: "□", 0x70: "□", 0x71: "❑", 0x72: "❒", 0x74: "◆", 0x75: "◆", 0x76: "❖", 0x77: "◆", 0x78: "☒", 0x9F: "•",
    0xA0: "•", 0xA1: "○", 0xA4: "◉", 0xA7: "▪", 0xA8: "□", 0xAB: "★", 0xAC: "★", 0xD8: "➢", 0xDF: "←", 0xE0: "→",
    0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒",
    0xFE: "☑",
} | {0x80 + number: (chr(0x245F + number) if number else "⓪") for number in range(11)} | {
    0x8B + number: (chr(0x2775 + number) if number else "⓿") for number in range(11)
}  # fmt: skip
_WINGDINGS_2 = {0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x97: "●", 0xA2: "■", 0xA3: "□"}
PRIVATE = range(0xF020, 0xF100)
"""Where symbol fonts have their characters."""


def symbols(text: str, font: str) -> str:
    """Text in a symbol font as the characters that it shows; what is not known stays."""
    from dochan.office_binary.symbol_fonts import _SYMBOL_UNICODE

    named = font.lower()
    known: dict[int, str]
    if named == "symbol":
        known = {code: chr(shown) for code, shown in _SYMBOL_UNICODE.items()}
    elif named == "wingdings 2":
        known = _WINGDINGS_2
    elif named.startswith("wingdings") or any(ord(character) in PRIVATE for character in text):
        known = _WINGDINGS
    else:
        return text
    private = {0xF000 + code: shown for code, shown in known.items()}
    return text.translate(private | known if named.startswith(("symbol", "wingdings")) else private)


def shown(code: str) -> str:
    """What a field with this code shows, where its code alone says it; "" for every other field."""
    code = _CONTROLS.sub("", code[:_LONGEST])
    if found := _SYMBOL.match(code):
        return _symbol(found)
    if formula := _FORMULA.match(code):
        return " ".join(_Formula(_FORMATS.sub("", formula[1])).text().split())
    return ""


def _symbol(found: re.Match[str]) -> str:
    if found["sign"]:
        return found["sign"]
    number = int(found["number"], 0) if found["number"][:2].lower() == "0x" else int(found["number"])
    switches = found["switches"].lower()
    font = _FONT.search(found["switches"])
    named = (font[1] or font[2] or "") if font else ""
    if named.lower().startswith(("symbol", "wingdings")) and (number < 256 or 0xF000 <= number < 0xF100):
        sign = symbols(chr(0xF000 | number), named)
        return sign if not "\ue000" <= sign <= "\uf8ff" else chr(number & 255)
    if number > _LARGEST or number < 32 or 0xD800 <= number < 0xE000:
        return ""
    if number < 256 and "\\u" not in switches:
        return bytes([number]).decode("cp1252", "ignore")
    return chr(number)


class _Formula:
    """A formula's code, read from the left."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._place = 0

    def text(self, depth: int = 0) -> str:
        """What stands up to the end of an argument."""
        parts = []
        while self._place < len(self._code):
            sign = self._code[self._place]
            if depth and sign in ",;)":
                break
            if sign == "\\" and (switch := _SWITCH.match(self._code, self._place)) and depth < _DEEPEST:
                self._place = switch.end()
                parts.append(self._drawn(switch[1].lower(), depth + 1))
                continue
            self._place += 1
            if sign == "\\":  # the next character as it is
                sign = self._code[self._place : self._place + 1]
                self._place += 1
            parts.append(sign)
        return "".join(parts)

    def _drawn(self, name: str, depth: int) -> str:
        raised = name == "s"
        while option := _BRACKET.match(self._code, self._place) or _SWITCH.match(self._code, self._place):
            if option.re is _SWITCH:
                name = option[1].lower() if name == "i" and option[1].lower() in _SIGNS else name
            self._place = option.end()
        arguments: list[str] = []
        above: list[str] = []
        while self._place < len(self._code) and self._code[self._place] in ("(" if not arguments + above else ",;"):
            self._place += 1
            is_raised = re.match(r"\s*\\s\\up", self._code[self._place :], re.IGNORECASE)
            argument = self.text(depth).strip()
            (above if name == "o" and is_raised else arguments).append(argument)
        if self._code[self._place : self._place + 1] == ")" and arguments + above:
            self._place += 1
        return arguments[0] if raised and arguments else _joined(name, arguments, above)


def _joined(name: str, arguments: Sequence[str], above: Sequence[str]) -> str:
    if name == "o":
        kept = [one for one in arguments if one not in _RINGS] or arguments
        reading = "".join(above)
        return "".join(kept) + (f"({reading})" if reading and kept else reading)
    if name == "f" and len(arguments) == 2:
        return f"{arguments[0]}/{arguments[1]}"
    if name == "r":
        return f"{arguments[0]}√{arguments[1]}" if len(arguments) == 2 else f"√{''.join(arguments)}"
    if name == "b":
        return f"({''.join(arguments)})"
    if name in ("i", *_SIGNS):
        return " ".join((_SIGNS.get(name, "∫"), *arguments))
    return (", " if name == "l" else " ").join(arguments)
