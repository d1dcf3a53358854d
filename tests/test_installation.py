"""Installing on a machine that has Python and nothing else: no compiler, no git, no build tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "uname", "dirname", "basename")
"""What `activate` may ask for."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_first_command_of_the_readme_runs_without_a_compiler(tmp_path: Path) -> None:
    """Every dependency has a wheel, or is nothing but Python; what is installed answers."""
    bare = tmp_path / "bin"
    bare.mkdir()
    (bare / "python3").symlink_to(Path(sys.base_prefix, "bin", "python3"))
    for name in TOOLS:
        if found := shutil.which(name):
            (bare / name).symlink_to(found)
    assert not any(shutil.which(name, path=str(bare)) for name in ("cc", "gcc", "c++", "g++", "clang", "make", "cmake"))
    command = re.search(r"^python3 -m venv .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert command
    copy = tmp_path / "kosearch"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    environment = {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "LANG", "LC_"))}
    environment |= {"PATH": str(bare), "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    environment |= {"CC": "no-compiler", "CXX": "no-compiler", "KOSEARCH_RESIDENT": "off"}
    done = subprocess.run(
        ["/bin/sh", "-c", command[0]], cwd=copy, env=environment, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert "연차" in done.stdout
    check = [str(copy / ".venv" / "bin" / "python"), "-c", "from kosearch.index.vectors import HnswGraph; HnswGraph(8)"]
    assert subprocess.run(check, env=environment, check=False).returncode == 0
