"""An HTTP client for inference servers: patient with busy ones, and quiet about keys.

What is temporary (429, 502 to 504, connections that break) is tried again, after longer
and longer pauses, or as long as the server says. What it cannot take (400, 413) may be
less. Whatever a server says in its refusals is passed on, shortened.
"""

import json
import time
import weakref
from collections.abc import Callable
from typing import Any

import httpx
import tenacity

from kennen_tf.black_boxes.servers.refusals import (
    is_loading,
    pause_of,
    shorten,
    with_stop,
    words_of,
)
from kennen_tf.vocabulary.errors import UserError

_BUSY = (429, 502, 503, 504)
_ATTEMPTS = 6
_ATTEMPTS_BROKEN = 3  # Of 500: it may be a moment's, or for ever.
_LONGEST_PAUSE = 120.0
# Of these, nothing has come to the server.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def _nothing() -> None:
    """Does nothing."""


class Refused(Exception):
    """A server does not take what it was sent, and may take less of it.

    Attributes:
        text: Its own words.
    """

    def __init__(self, status: int, text: str):
        super().__init__(f"status {status}: {text}")
        self.text = text


class Failed(UserError):
    """A server fails (500 and on) whenever it is sent this."""


class _Busy(Exception):
    def __init__(
        self,
        reason: str,
        pause: float | None = None,
        attempts: int = _ATTEMPTS,
        was_sent: bool = True,
        kind: type[UserError] = UserError,
    ):
        super().__init__(reason)
        self.kind = kind
        self.pause = pause
        self.attempts = attempts
        self.was_sent = was_sent


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
            return self._send("GET", url, None, _nothing)
        except Refused:
            return None

    def post(
        self, url: str, body: Any, note_again: Callable[[], None] = _nothing
    ) -> Any:
        """Sends JSON.

        Args:
            url: Where to.
            body: What.
            note_again: Called each time before it is sent again, though the server may
                have taken it.

        Raises:
            Refused: If the server says 400 or 413.
            Failed: If it says 500, or on, several times.
            UserError: If it refuses for another reason, cannot be reached after several
                attempts, or does not answer in JSON.
        """
        return self._send("POST", url, body, note_again)

    def _send(
        self, method: str, url: str, body: Any, note_again: Callable[[], None]
    ) -> Any:
        def note(state: tenacity.RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            if isinstance(error, _Busy) and error.was_sent:
                note_again()

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Busy),
            wait=self._pause,
            stop=_is_last,
            before_sleep=note,
            sleep=time.sleep,
            reraise=True,
        )
        try:
            return retrying(self._send_once, method, url, body)
        except _Busy as error:
            raise error.kind(
                f"{url} must answer. Received, after {error.attempts} attempts: "
                f"{with_stop(str(error))}"
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
            was_sent = not isinstance(error, _NOT_SENT)
            raise _Busy(reason, was_sent=was_sent) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UserError(f"A URL is wanted. Received: {url} ({error}).") from error
        self._check(url, method, response)
        try:
            content = json.loads(response.text)
        except ValueError as error:
            raise UserError(
                f"{url} must answer in JSON. Received: {shorten(response.text)}"
            ) from error
        self._answered.add(url)
        return content

    def _check(self, url: str, method: str, response: httpx.Response) -> None:
        """Raises what a server refuses by, if it does."""
        status = response.status_code
        if status == 200:
            return
        words = words_of(response)
        reason = f"status {status}: {words}"
        is_gone = status == 404 and url in self._answered  # It was started anew.
        if status in _BUSY or is_gone or is_loading(status, words):
            pause = pause_of(response)
            if pause is not None and pause > _LONGEST_PAUSE:
                raise UserError(
                    f"{url} wants to be asked again in {pause:.0f} s. Received: "
                    f"{with_stop(reason)}"
                )
            raise _Busy(reason, pause)
        if status in (400, 413) or (status in (404, 405, 422) and method == "GET"):
            raise Refused(status, words)
        if status in (401, 403):
            raise UserError(
                f"{url} does not let us in (status {status}): {with_stop(words)} Give "
                "a token with --token_variable, or headers with --headers."
            )
        if status >= 500 and status != 501:  # 501: it can not, and never will.
            raise _Busy(reason, attempts=_ATTEMPTS_BROKEN, kind=Failed)
        if response.has_redirect_location:
            reason = f"status {status}, to {shorten(response.headers['Location'])}"
            raise UserError(f"{url} is somewhere else. Received: {reason}")
        raise UserError(f"{url} answers {with_stop(reason)}")


def _is_last(state: tenacity.RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    return state.attempt_number >= getattr(error, "attempts", 1)
