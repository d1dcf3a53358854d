"""How modules depend on each other: no circle, wherever in a module the import stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import kosearch

ROOT = Path(kosearch.__file__).parent


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of each import, in functions too; what only type checkers read does not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imported(other)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from ((node.module or "", alias.name) for alias in node.names)
        else:
            yield from imported(node)


def graph() -> dict[str, set[str]]:
    """Module → the modules that it imports."""
    known = modules()
    edges: dict[str, set[str]] = {}
    for name, path in known.items():
        wanted = set()
        for module, attribute in imported(ast.parse(path.read_text(encoding="utf-8"))):
            target = f"{module}.{attribute}" if f"{module}.{attribute}" in known else module
            if target in known and target not in (name, "kosearch"):
                wanted.add(target)
        edges[name] = wanted
    return edges


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """A way from a module to itself, for each group of modules that reach each other; by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        path.append(name)
        for other in sorted(edges[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in path:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = path[path.index(name) :]
            del path[path.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in edges:
        if name not in order:
            visit(name)
    return found


def test_no_module_leads_back_to_itself() -> None:
    edges = graph()
    assert len(edges) > 50
    assert "kosearch.library" in edges["kosearch.cli.query"]
    assert circles(edges) == []


def test_a_circle_would_be_seen() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
