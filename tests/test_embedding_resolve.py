"""From a name to a model. No torch, no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from embedding_making import write_model

from kosearch.embedding import Prompts, bundled, default_model, names_here, resolve, resolving
from kosearch.errors import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
