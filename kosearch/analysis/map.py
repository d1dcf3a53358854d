"""A map of documents: near ones lie near each other, each topic has a colour. SVG, alone or in a page of HTML.

The layout is t-SNE (van der Maaten and Hinton 2008) from a fixed beginning. Nothing in the file comes from elsewhere,
and nothing in it runs: titles are shown on hover by the browser itself.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape
from xml.sax.saxutils import quoteattr

import numpy as np

from kosearch.analysis.corpus import Vectors, extra
from kosearch.analysis.topics import Topics, title_of
from kosearch.errors import UsageError

SUFFIXES = (".svg", ".html")
_WIDTH, _HEIGHT, _MARGIN = 1200, 800, 40
_PERPLEXITY = 30
_AXES = 50
"""Dimensions that are kept for the layout, by principal components."""
_COLOURS = (
    *("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a6d00", "#6a3d9a"),
    *("#b15928", "#4d4d4d", "#1b7837", "#c51b7d"),
)
"""Okabe and Ito's, which the colour-blind can tell apart, and four more."""
_STYLE = (
    "text{font:600 15px system-ui,'Noto Sans KR',sans-serif;text-anchor:middle;paint-order:stroke;stroke:#fff;"
    "stroke-width:4px;fill:#222;pointer-events:none}circle{fill-opacity:.75}circle:hover{stroke:#000;stroke-width:1.5}"
)


def places(vectors: Vectors) -> Vectors:
    """A place (n, 2) for each of some vectors (n, d), in 0..1. Raises UsageError where sklearn is missing."""
    decomposition, manifold = extra("sklearn.decomposition", "--map"), extra("sklearn.manifold", "--map")
    if not np.ptp(vectors, axis=0).any():  # all documents are equal
        return np.zeros((len(vectors), 2), np.float32)
    axes = min(_AXES, *vectors.shape)
    reduced = decomposition.PCA(axes, svd_solver="full").fit_transform(vectors)
    if len(vectors) < 4:
        laid = np.zeros((len(vectors), 2))
        laid[:, : min(2, axes)] = reduced[:, :2]
    else:
        perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
        laid = manifold.TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    low, high = laid.min(axis=0), laid.max(axis=0)
    found: Vectors = ((laid - low) / np.where(high > low, high - low, 1)).astype(np.float32)
    return found


def draw(found: Topics, suffix: str) -> str:
    """The map of all topics of the first level, as the text of a file with that suffix."""
    if suffix not in SUFFIXES:
        raise UsageError(f"a map is {' or '.join(SUFFIXES)}, not {suffix or 'a file without an ending'}")
    topic_of: Mapping[int, int] = {one.id: place for place, topic in enumerate(found.topics) for one in topic.documents}
    laid = places(found.vectors) * (_WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN) + _MARGIN
    of = np.array([topic_of[one.id] for one in found.documents])
    out = io.StringIO()
    out.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">')
    out.write(f"<style>{_STYLE}</style>")
    for document, topic, (x, y) in zip(found.documents, of.tolist(), laid.tolist(), strict=True):
        name = f"{title_of(document)}\n{document.path}{' » ' if document.member else ''}{document.member}"
        colour = quoteattr(_COLOURS[topic % len(_COLOURS)])
        out.write(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill={colour}><title>{_text(name)}</title></circle>')
    for place, topic in enumerate(found.topics):
        x, y = np.median(laid[of == place], axis=0)
        words = ", ".join(topic.words[:3]) or topic.title
        x = min(max(float(x), _MARGIN * 4), _WIDTH - _MARGIN * 4)
        out.write(f'<text x="{x:.0f}" y="{y:.0f}">{_text(words)}</text>')
    out.write("</svg>")
    return out.getvalue() + "\n" if suffix == ".svg" else _page(found, out.getvalue())


def _page(found: Topics, svg: str) -> str:
    rows = "".join(
        f'<li><b style="color:{_COLOURS[place % len(_COLOURS)]}">●</b> {len(topic.documents):,} '
        f"{_text(', '.join(topic.words) or topic.title)}</li>"
        for place, topic in enumerate(found.topics)
    )
    return (
        '<!doctype html><html><head><meta charset="utf-8"><title>kosearch topics</title>'
        "<style>body{font:15px system-ui,'Noto Sans KR',sans-serif;margin:1rem}svg{width:100%;height:auto;"
        "border:1px solid #ddd}ul{list-style:none;padding:0;columns:2}</style></head>"
        f"<body>{svg}<ul>{rows}</ul></body></html>\n"
    )


def _text(text: str) -> str:
    """Text of a document in XML, which has no control characters."""
    return escape("".join(one if one >= " " or one == "\n" else " " for one in text if not "\ud800" <= one <= "\udfff"))
