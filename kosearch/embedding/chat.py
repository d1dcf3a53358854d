"""A model that writes, over HTTP: one text for each that it is given, by OpenAI's protocol for chats.

https://platform.openai.com/docs/api-reference/chat; most other services and local servers speak it too.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kosearch.embedding.endpoint import http_client, split
from kosearch.embedding.http_client import Refused, RetryPolicy
from kosearch.embedding.tokens import encodable
from kosearch.errors import ModelError, UsageError

_PROTOCOL, _PATH = "openai", "/chat/completions"
_AT_ONCE = 4
"""Requests under way at the same time."""
_WRITING = RetryPolicy(tries=4, seconds=120.0, pause=1.0)
_MOST_NUMBERS = 16_384
"""What an answer may hold, reckoned as the client does: half a megabyte, for models that think aloud."""
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
"""What local models put before what they say."""


class Writer:
    """Asks one model, several times at once."""

    def __init__(self, name: str, url: str | None = None) -> None:
        """`name` such as openai:gpt-4o-mini; `url` defaults to OpenAI's own.

        Raises UsageError for another name, ConfigError for a key that is missing. Nothing is sent yet.
        """
        kind, self._model = split(name)
        if kind != _PROTOCOL or not self._model:
            raise UsageError(
                f"{name}: no model that writes", "openai:NAME, with --endpoint URL where it is not OpenAI's"
            )
        self.url, self._client = http_client(kind, url, _PATH)

    def written(self, told: str, texts: Sequence[str], progress: Callable[[int], object]) -> list[str | None]:
        """What the model makes of each text, `told` what to do; None where the server refuses the text.

        `progress` is told how many are done. Raises ModelError where the server cannot be used.
        """
        found: list[str | None] = []
        stop = threading.Event()

        def ask(text: str) -> str | None:
            try:
                return self._asked(told, text, stop)
            except Refused:
                return None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for one in pool.map(ask, texts):
                    found.append(one)
                    progress(len(found))
            except BaseException:
                self._client.abandon(stop)  # or leaving would wait for every answer
                raise
            finally:
                self._client.close()
        return found

    def _asked(self, told: str, text: str, stop: threading.Event) -> str:
        messages = [{"role": "system", "content": told}, {"role": "user", "content": encodable(text)}]
        body = {"model": self._model, "messages": messages}
        return self._said(self._client.post(body, _WRITING, stop, most_numbers=_MOST_NUMBERS))

    def _said(self, answer: Any) -> str:
        try:
            said = answer["choices"][0]["message"]["content"]
            return _THOUGHTS.sub("", said).strip()
        except (LookupError, TypeError) as error:
            hint = "see that the model there is one for chats, and not for embedding"
            raise ModelError(f"the answer of {self.url} is no use: it holds no text", hint) from error
