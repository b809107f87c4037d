"""A cluster of processes that train together: who they are, and meeting them.

TensorFlow itself waits for a process that never comes for an hour, says nothing and
does not heed Ctrl-C. So they meet here first.
"""

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Mapping

from absl import logging

from kennen_tf.vocabulary.errors import UserError

# Schedulers may start one host minutes after another.
MEETING_SECONDS = 600.0
# Before TensorFlow's part of the chief misses those who have ended.
PARTING_SECONDS = 5.0
_TICK_SECONDS = 0.5
_SECONDS_BETWEEN_WORDS = 30.0
_JOBS = ("chief", "worker")
_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """What `TF_CONFIG` says.

    Attributes:
        addresses: Of all processes, "host:port", by name, as "worker 0".
        own: The name of this one.
    """

    addresses: Mapping[str, str]
    own: str

    @classmethod
    def from_environment(cls) -> "Cluster":
        """Reads `TF_CONFIG`. Raises `UserError` if there is no cluster in it."""
        text = os.environ.get("TF_CONFIG", "")
        try:
            config = json.loads(text)
            addresses = {
                f"{job} {index}": str(address)
                for job, hosts in config["cluster"].items()
                for index, address in enumerate(hosts)
            }
            own = f"{config['task']['type']} {int(config['task']['index'])}"
            jobs = set(config["cluster"])
        except (ValueError, KeyError, TypeError, AttributeError):
            addresses, own, jobs = {}, "", set()
        ports = [address.rpartition(":")[2] for address in addresses.values()]
        is_whole = own in addresses and all(port.isdigit() for port in ports)
        if not is_whole or not jobs <= set(_JOBS):
            raise UserError(
                "--strategy=multi_worker needs the environment variable TF_CONFIG, "
                "with the addresses of the cluster, whose jobs are "
                f"{' and '.join(_JOBS)}, and this task among them, e.g. {_EXAMPLE}. "
                f"Received: {text!r}."
            )
        return cls(addresses=addresses, own=own)

    def meet(self, seconds: float = MEETING_SECONDS) -> None:
        """Waits until every other process listens at its address, as this one does.

        Afterwards, TensorFlow listens there, which is as good for those who still wait.

        Raises:
            UserError: If one does not come in time, or this one's port is taken.
        """
        missing = {n: a for n, a in self.addresses.items() if n != self.own}
        reasons: dict[str, str] = {}
        started = said = time.monotonic()
        with _listen(self.addresses[self.own]):
            while True:
                for name, address in list(missing.items()):
                    try:
                        with socket.create_connection(
                            split_address(address), _TICK_SECONDS
                        ):
                            del missing[name]
                    except OSError as error:
                        reasons[name] = str(error)
                if not missing:
                    return
                now = time.monotonic()
                waited = ", ".join(f"{n} at {a}" for n, a in missing.items())
                if now - started > seconds:
                    name = next(iter(missing))
                    raise UserError(
                        f"All of the cluster must be started within {seconds:.0f} "
                        f"seconds. Not reached: {waited} ({reasons[name]})."
                    )
                if said == started or now - said > _SECONDS_BETWEEN_WORDS:
                    logging.info("This is %s. Waiting for %s.", self.own, waited)
                    said = now
                time.sleep(_TICK_SECONDS)

    def see_off(self, seconds: float = PARTING_SECONDS) -> None:
        """Waits until no other process listens any more, or for so long.

        TensorFlow's part of a process that outlives the chief's complains of it.
        """
        left = [a for name, a in self.addresses.items() if name != self.own]
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            try:
                with socket.create_connection(split_address(left[0]), _TICK_SECONDS):
                    time.sleep(_TICK_SECONDS)
            except OSError:
                del left[0]


def _listen(address: str) -> contextlib.AbstractContextManager[socket.socket]:
    """Listens at the port of an address, on all interfaces, as TensorFlow does."""
    own = ("", split_address(address)[1])
    try:
        if socket.has_dualstack_ipv6():
            server = socket.create_server(
                own, family=socket.AF_INET6, dualstack_ipv6=True
            )
        else:
            server = socket.create_server(own)
        return contextlib.closing(server)
    except OSError as error:
        raise UserError(
            f"The port of {address}, which is this task's in TF_CONFIG, must be free "
            f"on this host ({error.strerror}). Does the same task run twice?"
        ) from error


def split_address(address: str) -> tuple[str, int]:
    """Returns host and port. Raises `ValueError` if the port is no number."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
