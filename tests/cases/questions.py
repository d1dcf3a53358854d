"""Questions whose answer is known, asked through the program."""

from __future__ import annotations
