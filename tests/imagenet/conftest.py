"""What all tests of the ImageNet half share: collections of garbage that are quick."""

import gc

import pytest


@pytest.fixture(scope="session", autouse=True)
def frozen_imports():
    """Keeps what imports left from being looked through whenever memory is freed.

    A classifier is dropped with a collection after it: a fifth of a second through
    400,000 objects of TensorFlow and Keras, of which none is garbage.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
