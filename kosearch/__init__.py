"""Semantic and Korean full-text search over local documents."""

__version__ = "0.1.0"
