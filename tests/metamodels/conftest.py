"""What tests of metamodels share: jobs with shared steps, figures that nobody draws."""

import base64
import contextlib

import pytest

from kennen_tf.evaluation import figures, result_figures, training_figures

# One black pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJ"
    "RU5ErkJggg=="
)


@pytest.fixture
def undrawn(monkeypatch):
    """Has trainings of a test write a pixel where each figure would be.

    To draw them takes as long as a small training. Those of fixtures, which are set up
    before, are drawn.
    """
    for module, name in (
        (result_figures, "confusion_figure"),
        (training_figures, "contact_sheet"),
        (training_figures, "curves_figure"),
    ):
        monkeypatch.setattr(module, name, lambda *arguments: None)
    monkeypatch.setattr(figures, "png_bytes", lambda figure: PNG)
    monkeypatch.setattr(figures, "save_png", lambda figure, path: path.write_bytes(PNG))


@contextlib.contextmanager
def running_eagerly():
    """Runs steps as they are: compiling one takes longer than the few of a test."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture
def eager():
    """Has a test run steps as they are."""
    with running_eagerly():
        yield


@pytest.fixture(scope="module")
def train_eagerly(train):
    """Trains as `train` does, for fixtures of tests that are `eager`."""

    def train_so(config):
        with running_eagerly():
            return train(config)

    return train_so


@pytest.fixture(scope="session")
def make_job():
    """Makes jobs on one device; as in experiments, those of one shape share a step."""
    # Not every test of this folder waits for TensorFlow.
    from kennen_tf.machine import distribution
    from kennen_tf.metamodels.jobs import Job
    from kennen_tf.metamodels.recipes.fitting import CompiledModels
    from kennen_tf.queries.query_outputs import QueryOutputsInfo

    shared = {
        "strategy": distribution.make_strategy("one_device"),
        "compiled": CompiledModels(),
    }

    def make(config, **settings):
        info = QueryOutputsInfo.open(config.query_dir)
        return Job(**{"config": config, "info": info, **shared, **settings})

    return make


@pytest.fixture(scope="session")
def train(make_job):
    """Trains as `train_metamodel` does, in a job that `make_job` makes."""
    from kennen_tf.metamodels import making

    def make_and_train(config, **settings):
        return making.make(make_job(config, **settings))

    return make_and_train
