"""What TensorFlow and Keras read when they are imported."""

import os


def set_environment() -> None:
    """Sets what TensorFlow and Keras read when they are imported; children inherit it.

    The user's own settings win, but for the backend: there is only this one.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow's own choice is off for processors without AVX-512: half as fast.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
