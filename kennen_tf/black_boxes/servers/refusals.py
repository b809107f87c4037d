"""What servers say when they do not answer: their words, shortened, and wishes."""

import email.utils
import json
import re
import time

import httpx

_MOST_TEXT = 200
# What went wrong, in a traceback of Python: a line that is not indented.
_CAUSE = re.compile(r"^[\w.]+: .+", re.MULTILINE)
# What MLServer (400) and Triton (404) say of a model that they are still loading.
_LOADING = ("is not ready", "has no available versions")


def is_loading(status: int, words: str) -> bool:
    """Tells whether a server refuses since it was started just now."""
    return status in (400, 404) and any(part in words for part in _LOADING)


def pause_of(response: httpx.Response) -> float | None:
    """Returns the seconds that a server wants us to wait; None if it does not say."""
    text = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return max(0.0, moment.timestamp() - time.time())
    except ValueError:
        return None


def words_of(response: httpx.Response) -> str:
    """Returns what a server says of an error."""
    try:
        content = response.json()
    except ValueError:
        content = response.text
    if isinstance(content, dict):
        for key in ("error", "detail", "message"):
            if content.get(key):
                content = content[key]
                break
    text = content if isinstance(content, str) else json.dumps(content)
    before, _, inside = text.partition("Traceback (most recent call last)")
    causes = _CAUSE.findall(inside)
    return shorten(f"{before}{causes[-1]}" if causes else text)


def with_stop(text: str) -> str:
    """Returns a text that ends as a sentence does."""
    return text if text.endswith(".") else f"{text}."


def shorten(text: str) -> str:
    """Returns a text in one line, of some hundred letters at most."""
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
