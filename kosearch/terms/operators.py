"""A question's operators: "a phrase", +must and -not, where a person would mean them.

A sign or a quotation mark is more often a part of the text: -18℃, +82, a list, a sentence that somebody said, a command
with its options. What is not clearly an operator demands nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Commands that are nothing else, so that whatever has a sign behind them is an option.
_FILES_AND_TEXT = """
tar ls rm cp mv mkdir rmdir ln chmod chown chgrp df du dd gzip gunzip unzip cpio rsync scp sftp grep egrep fgrep sed
awk gawk xargs wc uniq tr diff iconv xxd od jq curl wget
"""
_SYSTEM = """
ps pkill killall lsof strace ssh ssh-keygen nmap netstat ifconfig iptables ufw tcpdump nslookup traceroute systemctl
journalctl crontab umount fdisk lsblk uname whoami useradd usermod passwd apt apt-get dnf yum dpkg rpm xcopy robocopy
ipconfig netsh
"""
COMMANDS = frozenset(f"{_FILES_AND_TEXT} {_SYSTEM}".split())

# Words that are commands as well, and programs that people write about: java -spring leaves one out, -jar does not.
_PLAIN_WORDS = """
find sort make kill cut less more cat head tail touch top ping time date split join echo test watch mount dig dir ip
ss su xz zip tee fold vim nano tmux
"""
_PROGRAMS = """
git svn docker podman kubectl helm java javac mvn gradle python python3 pip pip3 pytest node npm npx yarn go cargo gcc
g++ clang cmake ruby perl php bash sh zsh psql mysql sqlite3 openssl gpg ffmpeg pandoc brew terraform ansible
powershell
"""
ALSO_COMMANDS = frozenset(f"{_PLAIN_WORDS} {_PROGRAMS}".split())
_LONG = """
name iname type exec mtime ctime size perm path print delete maxdepth mindepth version help verbose classpath Wall
"""
LONG_OPTIONS = frozenset(_LONG.split())
_SHORT = 3
"""Letters of other options behind these: docker run -it."""

_OPERATOR = re.compile(r'(?<!\S)(?:(?P<sign>[+-]?)"(?P<phrase>[^"]*)"|(?P<mark>[+-])(?P<word>\w[^\s"]*))')
_CURLY = re.compile('(?<!\\S)([+-])[“”„]([^“”„"]*)[“”]')
"""A sign makes an operator of these, too; by themselves they are a part of what was pasted."""
_OPTION = re.compile(r"--\w[\w-]*(?:=\S*)?|-[A-Za-z]|[-+]\w+=\S*|-X[a-z]\w*")
"""What is an option, whatever stands before it."""
_BEFORE_COMMANDS = re.compile(r"^(?:.*[^\x00-\x7f])?\W*(?:sudo\s+)?(?:\S*/)?")
"""What may stand before a command line: text that is not Latin, a prompt, a path."""
_YEAR = re.compile(r"(?:19|20)\d\d")
_COUNTED = re.compile(r"\d[\d.,]*(?:년|월|일|분기|반기|조|항|호|차|회|장|절|학년|기|동|반|과|팀|번)\S*")
"""What a number of is named and not counted: -3월 leaves one out, -2층 and -3명 are below nothing."""
_SAID = re.compile(  # and {"name": "value"}
    r"\s?(?:이?라|하)?(?:고|며|는|면서)(?![가-힣])|\s?(?:이?라|하)(?:고|며|는|면서|지|던)|\s?[:}\]]"
)
_FRAMED = re.compile(r"-[^\s-]+-(?!\S)|\A-[^-]*[^\s-]-(?!\S)")
"""-끝-, -수신자 제위-: a word or a line that is set between hyphens."""
_MARKED = re.compile(r"\s*(?:[^\w\s\"'+-]|\d{1,2}[.)])\s*")
"""What begins a line of a list: a sign behind it is another mark of that line."""
_ASKS = re.compile(r"\S\s+\S.*[?？]\W*$", re.DOTALL)
"""A quotation that is a question, of two words or more: pasted with its marks, and no phrase that a text has."""
_LONG_TEXT = 200
"""Code points from which on a question is a text that was pasted."""
_WORDS = 6
"""So many words beside its quotations make a question a sentence that quotes somebody."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A word or phrase that a passage must have (+, or none for a phrase) or must not (-), as it was written."""

    sign: str
    words: str
    written: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A question without its operators, and what they demand."""

    plain: str
    demands: tuple[Demand, ...] = ()
    notes: tuple[str, ...] = ()


def parse(text: str) -> Parsed:
    """Take a question apart. What must not be there is no part of `plain`; what must is."""
    text = _CURLY.sub(r'\1"\2"', text)
    found = list(_OPERATOR.finditer(text))
    if sum(map(bool, map(str.strip, text.splitlines()))) > 1 or len(text) > _LONG_TEXT:
        notes = ("the question is a longer text: its signs and quotation marks demand nothing",) if found else ()
        return Parsed(_plain(text), notes=notes)
    demands: list[Demand] = []
    said = len(re.sub(r'"[^"]*"', " ", text).split()) >= _WORDS
    plain, end, kept = "", 0, 0
    for operator in found:
        sign, words = operator["sign"] or operator["mark"] or "", operator["phrase"] or operator["word"] or ""
        is_said = not sign and (
            said or _SAID.match(text, operator.end()) is not None or _ASKS.search(operator["phrase"] or "") is not None
        )
        kept += is_said
        if is_said or (operator["word"] and not _is_operator(sign, words, text[: operator.start()])):
            continue
        if sign == "-" and _FRAMED.match(text, operator.start()):
            continue
        plain += text[end : operator.start()] + ("" if sign == "-" else words)
        end = operator.end()
        if words.strip():
            demands.append(Demand(sign, words, operator.group()))
    plain += text[end:]
    notes = ()
    if kept:
        notes = ('the quotation marks are read as a part of the sentence; +"…" demands a phrase',)
    elif plain.count('"') % 2:
        notes = ("a quotation mark is not closed: the words behind it are no phrase",)
    return Parsed(_plain(plain), tuple(demands), notes)


def _is_operator(sign: str, word: str, before: str) -> bool:
    """-18℃ and +82 are numbers with a sign; 3월 has none, and a year behind other words is wanted, or not. What stands
    behind a command is an option of it."""
    if _OPTION.fullmatch(f"-{word}") or _is_option(word, before):
        return False
    if "=" in word or ":" in word or _MARKED.fullmatch(before):  # -담당자: begins an item of a list
        return False
    if not word[0].isdigit() or _COUNTED.fullmatch(word):
        return True
    return bool(before) and _YEAR.fullmatch(word) is not None


def _is_option(word: str, before: str) -> bool:
    """Whether this word with a sign belongs to a command line that stands before it: tar -xzf, find . -name.

    That line is of Latin letters, begins with a command or has another option already. Some commands are words of
    their own, of which a person may want some and not others (java -spring): behind these it is a short or known one.
    """
    line = _BEFORE_COMMANDS.sub("", before).split()
    if not line or not word.isascii():
        return False
    if line[0] in COMMANDS or any(map(_OPTION.fullmatch, line)):
        return True
    return line[0] in ALSO_COMMANDS and (len(word) <= _SHORT or word in LONG_OPTIONS)


def _plain(text: str) -> str:
    return " ".join(text.replace('"', " ").split())
