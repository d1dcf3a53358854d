"""Word, Excel, PowerPoint, OpenDocument and RTF files."""

from __future__ import annotations
