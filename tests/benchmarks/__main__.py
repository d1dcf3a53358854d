"""`python -m tests.benchmarks NAME …`: run a measurement. Without a name, list them."""

from __future__ import annotations

import sys
from pathlib import Path
from runpy import run_module

if len(sys.argv) < 2:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    sys.exit(f"python -m tests.benchmarks NAME, one of: {', '.join(names)}")
del sys.argv[0]
run_module(f"tests.benchmarks.{sys.argv[0]}", run_name="__main__")
