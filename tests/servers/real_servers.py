"""Inference servers as they are, each in an environment of its own, on this machine."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import httpx
import psutil
import pytest
import served_digits as digits

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent.parent / "build" / "servers"
_LONGEST_START = 120.0
_LONGEST_END = 15.0
_LIBRARIES = "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))"


class RealServer:
    """A server of the digits, which can be ended and started again at one port.

    Attributes:
        name: kserve, mlserver or triton.
        port: Of HTTP, on the loopback address.
        diary: What it was sent; it outlives it.
    """

    def __init__(self, name):
        self.name = name
        # Short, since paths of sockets may not be long.
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self.diary = digits.Diary(self._folder)
        self.port = _free_port()
        self._process = None
        self._python = ENVIRONMENTS / name / "bin" / "python"
        if not self._python.exists():
            pytest.fail(f"{self._python} must be there: `make test-servers` makes it.")

    def url(self, version, name=digits.NAME):
        return f"http://127.0.0.1:{self.port}/v{version}/models/{name}"

    def start(self):
        """Starts it; returns when its model is ready."""
        self.launch()
        self.wait(lambda: self.ask_ready() == 200)

    def launch(self):
        """Starts it, and does not wait."""
        libraries = subprocess.run(
            [self._python, "-c", _LIBRARIES], capture_output=True, text=True, check=True
        )
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
            "DIGITS_FOLDER": str(self._folder),
            # Triton brings a Python without its library, and must not find another's.
            "LD_LIBRARY_PATH": libraries.stdout.strip(),
        }
        program = HERE / f"{self.name}_server.py"
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._python, program, str(self.port), self._folder],
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, is_so):
        """Waits until something is so; fails if the server ends before."""
        end = time.monotonic() + _LONGEST_START
        while not is_so():
            if self._process.poll() is not None or time.monotonic() > end:
                log = (self._folder / "log").read_text()
                pytest.fail(f"{self.name} does not come so far:\n{log[-4000:]}")
            time.sleep(0.05)

    def ask_ready(self):
        """Returns the status of asking whether the model is ready; 0 if none comes."""
        try:
            return httpx.get(f"{self.url(2)}/ready").status_code
        except httpx.TransportError:
            return 0

    def refusal(self):
        """Returns its words to a request without images; "" if none come."""
        try:
            return httpx.post(f"{self.url(2)}/infer", json={"inputs": []}).text
        except httpx.TransportError:
            return ""

    def addresses(self):
        """Returns the addresses that it and its children listen at."""
        ids = {process.pid for process in self._processes()}
        return {
            own.laddr.ip.removeprefix("::ffff:")  # So is IPv4 in IPv6.
            for own in psutil.net_connections("tcp")
            if own.pid in ids and own.status == psutil.CONN_LISTEN
        }

    def kill(self):
        """Ends it at once, in the middle of whatever it does."""
        left = _left_behind(self._processes())
        # A group of its own, so that nobody else is in it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_LONGEST_END)
        for path in left:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def close(self):
        """Ends it, and removes what it wrote."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self._folder)

    def _processes(self):
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []


def _left_behind(processes):
    """Returns what processes that are killed do not remove: shared memory of all, and
    Triton's copies of models."""
    found = set()
    folder = re.escape(tempfile.gettempdir())
    for process in processes:
        with contextlib.suppress(psutil.Error):
            paths = [own.path for own in process.memory_maps()]
            found |= {pathlib.Path(p) for p in paths if p.startswith("/dev/shm/")}
            copies = [
                re.match(rf"{folder}/folder\w{{6}}(?=/)", p) for p in process.cmdline()
            ]
            found |= {pathlib.Path(copy[0]) for copy in copies if copy}
    return found


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
