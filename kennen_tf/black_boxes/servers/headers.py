"""What is sent with each request, beside the images: headers and tokens."""

import os
import pathlib

from kennen_tf.vocabulary.errors import UserError


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
