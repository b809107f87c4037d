"""Datasets of TensorFlow Datasets, found and prepared, or a sentence why not."""

from typing import Any

from absl import logging

from kennen_tf.vocabulary.errors import UserError


def open_builder(name: str, flag: str) -> Any:
    """Returns the builder of a dataset; nothing is downloaded.

    Args:
        name: E.g. "imagenet_v2".
        flag: The flag that named it; used in errors.

    Raises:
        UserError: If there is no such dataset.
    """
    import tensorflow_datasets as tfds  # Takes seconds: only where it is used.

    try:
        return tfds.builder(name)
    except (tfds.core.DatasetNotFoundError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"--{flag}=tfds:{name} is no dataset of TensorFlow Datasets. {reason}"
        ) from error


def prepare(builder: Any, name: str, instead: str) -> None:
    """Downloads and prepares a dataset, unless it is there.

    Args:
        builder: What `open_builder` returned.
        name: What it was given.
        instead: What to do without the dataset; used in errors.

    Raises:
        UserError: If it cannot be had.
    """
    logging.info("Preparing tfds:%s in %s, unless it is there.", name, builder.data_dir)
    try:
        builder.download_and_prepare()
    except Exception as error:  # Dataset code may raise anything.
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"tfds:{name} is not prepared on this machine and could not be downloaded "
            f"({type(error).__name__}: {reason}). Prepare it where there is a network "
            f"with `tfds build {name}`, or {instead}."
        ) from error
