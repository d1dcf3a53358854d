"""`python -m tests.benchmarks NAME …`: run a measurement. Without a name, list them."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

if len(sys.argv) < 2:
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    sys.exit(f"python -m tests.benchmarks NAME, one of: {', '.join(names)}")
import_module(f"tests.benchmarks.{sys.argv[1]}").main(sys.argv[2:])
