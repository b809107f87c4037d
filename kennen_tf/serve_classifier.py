"""Serves a classifier over HTTP on this machine, to try what its API gives away.

    python -m kennen_tf.serve_classifier --classifier=mine.keras --name=mine
    python -m kennen_tf.reveal_black_box --black_box=http://127.0.0.1:8501/v1/models/mine

Speaks the protocol of TF Serving, prints the model's URL once it answers, and goes on
until Ctrl-C.
"""

import contextlib
import pathlib

from flags import common
from kennen_tf.configs.serving import ServingConfig
from kennen_tf.vocabulary.errors import UserError


def serve_classifier(config: ServingConfig) -> None:
    """Serves a classifier until the process is ended.

    Raises:
        UserError: If it cannot be opened, or the port cannot be listened on.
    """
    from kennen_tf.machine import startup

    path = pathlib.Path(config.classifier)
    if not path.exists():
        raise UserError(f"--classifier must be there. Received: {path}, and it is not.")
    startup.import_tensorflow()

    from kennen_tf.black_boxes import opening, serving

    opened = opening.open_file(path)
    name = config.name or path.stem
    server = serving.make_server(opened, name=name, host=config.host, port=config.port)
    with server:
        print(serving.url_of(server, name), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def main() -> None:
    """Runs `serve_classifier` with the flags of the command line."""
    common.run(serve_classifier, ServingConfig)


if __name__ == "__main__":
    main()
