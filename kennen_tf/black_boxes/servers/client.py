"""An HTTP client for inference servers: patient with busy ones, and quiet about keys.

What is temporary (429, 502 to 504, connections that break) is tried again, after longer
and longer pauses, or as long as the server says. What it cannot take (400, 413) may be
less. Whatever a server says in its refusals is passed on, shortened.
"""

import json
import os
import pathlib
import re
import time
import weakref
from typing import Any

import httpx
import tenacity

from kennen_tf.vocabulary.errors import UserError

_BUSY = (429, 502, 503, 504)
# What MLServer (400) and Triton (404) say of a model that they are still loading.
_LOADING = ("is not ready", "has no available versions")
_ATTEMPTS = 6
_ATTEMPTS_BROKEN = 3  # Of 500: it may be a moment's, or for ever.
_LONGEST_PAUSE = 120.0
_MOST_TEXT = 200
# What went wrong, in a traceback of Python: a line that is not indented.
_CAUSE = re.compile(r"^[\w.]+: .+", re.MULTILINE)


class Refused(Exception):
    """A server does not take what it was sent, and may take less of it.

    Attributes:
        text: Its own words.
    """

    def __init__(self, status: int, text: str):
        super().__init__(f"status {status}: {text}")
        self.text = text


class _Busy(Exception):
    def __init__(self, reason: str, pause: float | None, attempts: int = _ATTEMPTS):
        super().__init__(reason)
        self.pause = pause
        self.attempts = attempts


class Client:
    """Sends JSON and receives JSON.

    Attributes:
        url: Where requests go that name no other place.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        timeout: float = 60.0,
        first_pause: float = 1.0,
    ):
        """Makes a client; nothing is sent.

        Args:
            url: Of the server's model.
            headers: Sent with each request; never printed.
            timeout: Seconds that an answer may take.
            first_pause: Seconds before the second attempt; each time twice as long.
        """
        self.url = url
        self._first_pause = first_pause
        self._http = httpx.Client(headers=headers or {}, timeout=timeout)
        # Its connections are kept open between requests, as long as it is there.
        weakref.finalize(self, self._http.close)
        self._answered: set[str] = set()  # URLs that did: what is there.

    def get(self, url: str) -> Any:
        """Returns what is at a URL, or None if there is nothing.

        Raises:
            UserError: If the server cannot be reached or does not answer in JSON.
        """
        try:
            return self._send("GET", url, None)
        except Refused:
            return None

    def post(self, url: str, body: Any) -> Any:
        """Sends JSON.

        Raises:
            Refused: If the server says 400 or 413.
            UserError: If it refuses for another reason, cannot be reached after several
                attempts, or does not answer in JSON.
        """
        return self._send("POST", url, body)

    def _send(self, method: str, url: str, body: Any) -> Any:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            wait=self._pause,
            stop=_is_last,
            sleep=time.sleep,
            reraise=True,
        )
        try:
            return retrying(self._send_once, method, url, body)
        except _Busy as error:
            raise UserError(
                f"{url} must answer. Received, after {error.attempts} attempts: "
                f"{_with_stop(str(error))}"
            ) from error

    def _pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        growing = self._first_pause * 2 ** (state.attempt_number - 1)
        asked_for = getattr(error, "pause", None)
        return min(growing if asked_for is None else asked_for, _LONGEST_PAUSE)

    def _send_once(self, method: str, url: str, body: Any) -> Any:
        content = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        try:
            response = self._http.request(method, url, content=content, headers=headers)
        except httpx.TransportError as error:
            reason = str(error) or type(error).__name__
            raise _Busy(reason, None) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UserError(f"A URL is wanted. Received: {url} ({error}).") from error
        status = response.status_code
        if status in _BUSY or self._is_loading(url, response):
            raise _Busy(f"status {status}: {_words(response)}", _retry_after(response))
        if status in (400, 404, 405, 413, 422):
            if method == "POST" and status not in (400, 413):
                raise UserError(
                    f"{url} answers status {status}: {_with_stop(_words(response))}"
                )
            raise Refused(status, _words(response))
        if status in (401, 403):
            raise UserError(
                f"{url} does not let us in (status {status}): "
                f"{_with_stop(_words(response))} Give a token with --token_variable, "
                "or headers with --headers."
            )
        if status >= 500 and status != 501:  # 501: it can not, and never will.
            reason = f"status {status}: {_words(response)}"
            raise _Busy(reason, None, _ATTEMPTS_BROKEN)
        if status != 200:
            raise UserError(
                f"{url} answers status {status}: {_with_stop(_words(response))}"
            )
        try:
            content = json.loads(response.text)
        except ValueError as error:
            raise UserError(
                f"{url} must answer in JSON. Received: {_shorten(response.text)}"
            ) from error
        self._answered.add(url)
        return content

    def _is_loading(self, url: str, response: httpx.Response) -> bool:
        """Tells whether a refusal is that of a server that was started just now."""
        if response.status_code == 404 and url in self._answered:
            return True
        words = _words(response)
        return response.status_code in (400, 404) and any(
            part in words for part in _LOADING
        )


def _is_last(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return state.attempt_number >= getattr(error, "attempts", 1)


def read_headers(path: str, token_variable: str) -> dict[str, str]:
    """Reads what is sent with each request.

    Args:
        path: Of a file with a header a line, `Name: value`; "" for none.
        token_variable: Name of an environment variable with a token; "" for none.

    Raises:
        UserError: If a line is no header, or there is no such file or variable. What is
            in them is not told.
    """
    headers = {}
    if path:
        try:
            lines = pathlib.Path(path).expanduser().read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"--headers must be a text file with a header a line. Received: {path} "
                f"({getattr(error, 'strerror', None) or type(error).__name__})."
            ) from error
        for number, line in enumerate(lines, start=1):
            name, separator, value = line.partition(":")
            if line.strip() and not (separator and name.strip().isascii()):
                raise UserError(
                    f"{path}, line {number}: a header is `Name: value`. Received: a "
                    "line of another form."
                )
            if line.strip():
                headers[name.strip()] = value.strip()
    if token_variable:
        token = os.environ.get(token_variable, "")
        if not token:
            raise UserError(
                "--token_variable must name an environment variable that holds a "
                f"token. Received: {token_variable}, which is not set."
            )
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    try:
        return max(0.0, float(text))
    except ValueError:
        return None  # A date, or nothing: then ours.


def _words(response: httpx.Response) -> str:
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
    return _shorten(f"{before}{causes[-1]}" if causes else text)


def _with_stop(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
