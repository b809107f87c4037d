"""The two protocols that inference servers speak, told by a model's URL.

TF Serving (also KServe and MLServer's first version):
    http://HOST/v1/models/NAME[/versions/N]             metadata at .../metadata
    POST ...:predict  {"instances": [...]} -> {"predictions": [...]}

Open Inference Protocol (KServe, MLServer, Triton):
    http://HOST/v2/models/NAME[/versions/N]             metadata at the URL itself
    POST .../infer    {"inputs": [...]}    -> {"outputs": [...]}
"""

import re

from kennen_tf.black_boxes.servers.client import Client
from kennen_tf.black_boxes.servers.open_inference import OpenInference
from kennen_tf.black_boxes.servers.taken import ModelProtocol
from kennen_tf.black_boxes.servers.tf_serving import TfServing
from kennen_tf.vocabulary.errors import UserError

_URL = re.compile(
    r"https?://[^/]+(/.*)?/v(?P<version>[12])/models/(?P<name>[^/:]+)(?P<rest>.*)"
)


def find_protocol(client: Client, signature: str = "") -> ModelProtocol:
    """Returns the protocol of a URL.

    Args:
        client: Of the URL.
        signature: Of TF Serving, which to ask; in the Open Inference Protocol, the
            output to read; "" for the default, or the only one.

    Raises:
        UserError: If it is of none of the two.
    """
    found = _URL.fullmatch(client.url.rstrip("/"))
    if not found:
        raise UserError(
            "A URL must be one of a model: http://HOST/v1/models/NAME (TF Serving) or "
            "http://HOST/v2/models/NAME (Open Inference Protocol). Received: "
            f"{client.url}."
        )
    url = client.url.rstrip("/")
    if found["version"] == "1":
        return TfServing(client, url.removesuffix(":predict"), signature)
    return OpenInference(client, url.removesuffix("/infer"), signature)
