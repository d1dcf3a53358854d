"""HWP, HWPX and HWPML files."""

from __future__ import annotations
