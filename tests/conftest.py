"""Shared set-up of the tests: environment, markers, where the package comes from."""

import gc
import os
import pathlib

import pytest

import flags
import kennen_tf
import pipelines
from kennen_tf.machine import environment

# Before TensorFlow, Keras and Matplotlib are imported, which the above do not.
environment.set_environment()
os.environ["MPLBACKEND"] = "Agg"
if "PYTEST_XDIST_WORKER" in os.environ:
    # Processes side by side: threads of each would wait for those of the other.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = "1"

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent

SWITCHES = {
    "slow": "--run_slow",
    "gpu": "--run_gpu",
    "needs_weights": "--run_weights",
    "needs_servers": "--run_servers",
}


def pytest_addoption(parser):
    parser.addoption(
        "--installed",
        action="store_true",
        help="Fail unless what is tested is the installed package, not the checkout.",
    )
    parser.addoption("--fast", action="store_true", help="Leave out tests marked long.")
    for marker, switch in SWITCHES.items():
        parser.addoption(
            switch, action="store_true", help=f"Also run tests marked {marker}."
        )


def pytest_configure(config):
    roots = {
        pathlib.Path(package.__file__).resolve().parent.parent
        for package in (flags, kennen_tf, pipelines)
    }
    if config.getoption("--installed"):
        wrong = [str(root) for root in roots if root.name != "site-packages"]
        if wrong:
            raise pytest.UsageError(f"--installed, but packages come from {wrong}.")
    elif roots == {CHECKOUT}:
        # Binaries that tests start in other folders have to find the checkout, too.
        os.environ["PYTHONPATH"] = str(CHECKOUT)


def pytest_collection_modifyitems(config, items):
    """Skips marked tests unless asked for; then, what they need must be there."""
    if config.getoption("--fast"):
        long = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
    for item in items:
        for marker, switch in SWITCHES.items():
            if item.get_closest_marker(marker) and not config.getoption(switch):
                item.add_marker(pytest.mark.skip(reason=f"runs with {switch}"))


def pytest_collection_finish(session):
    """Makes the second CPU before any test has TensorFlow look at its devices."""
    if any("two_logical_cpus" in item.fixturenames for item in session.items):
        import tensorflow as tf

        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0],
            [tf.config.LogicalDeviceConfiguration()] * 2,
        )


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keeps ready metamodels that tests solve for out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def frozen_imports():
    """Keeps what imports left from being looked through whenever memory is freed.

    A collection took a fifth of a second through 400,000 objects of TensorFlow and
    Keras, of which none is garbage; tests take a sixth less time without.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def two_logical_cpus():
    """Names of two CPU devices, for tests of distribution."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("CPU")]
