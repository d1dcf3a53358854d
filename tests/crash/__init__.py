"""Attempts to break what kosearch promises: `python -m tests.crash` tries them all."""
