"""What TensorFlow Datasets reads query outputs by, and shows of them.

`tfds.builder_from_directory(query_dir)` needs no code of ours.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from kennen_tf.attributes import AttributeTable
from kennen_tf.queries import query_inputs, records
from kennen_tf.queries.query_inputs import QueryInputs

HOMEPAGE = "https://openreview.net/forum?id=BydjJte0-"
_CITATION = """\
@inproceedings{oh2018reverse,
  title     = {Towards Reverse-Engineering Black-Box Neural Networks},
  author    = {Seong Joon Oh and Max Augustin and Bernt Schiele and Mario Fritz},
  booktitle = {International Conference on Learning Representations (ICLR)},
  year      = {2018},
  url       = {%s},
}
"""


def write(
    folder: pathlib.Path,
    shard_names: Sequence[str],
    shard_lengths: list[int],
    table: AttributeTable,
    queries: QueryInputs,
    num_classes: int,
    is_half: bool = False,
) -> None:
    """Writes `dataset_info.json`, `features.json` and names of labels.

    Args:
        folder: Where the records are.
        shard_names: Their files.
        shard_lengths: Records of each.
        table: Attributes of who was asked.
        queries: What was sent.
        num_classes: Between how many classes they choose.
        is_half: Whether answers are written in half precision.
    """
    template = tfds.core.ShardedFileTemplate(
        data_dir=folder,
        template=records.FILENAME_TEMPLATE,
        dataset_name=records.DATASET_NAME,
        split=records.SPLIT_NAME,
        filetype_suffix="tfrecord",
    )
    split = tfds.core.SplitInfo(
        name=records.SPLIT_NAME,
        shard_lengths=shard_lengths,
        num_bytes=sum((folder / name).stat().st_size for name in shard_names),
        filename_template=template,
    )
    tfds.folder_dataset.write_metadata(
        data_dir=str(folder),
        features=features(table, len(queries), num_classes, is_half),
        split_infos=[split],
        filename_template=records.FILENAME_TEMPLATE,
        check_data=False,
        description=describe(table, queries, num_classes, is_half),
        citation=_CITATION % HOMEPAGE,
        homepage=HOMEPAGE,
    )


def describe(
    table: AttributeTable, queries: QueryInputs, num_classes: int, is_half: bool = False
) -> str:
    """Returns what the records are, for people."""
    codes = ", ".join(attribute.code for attribute in table)
    sent = "whose images are not there"
    if queries.has_images:
        height, width, channels = queries.images.shape[1:]
        sent = (
            f"images of {height} x {width} pixels and {channels} "
            f"channel{'s' if channels > 1 else ''}, in {query_inputs.FILE_NAME}, sent "
            "as float32 from 0 to 1"
        )
    answers = f"its probabilities of {num_classes} classes"
    if is_half:
        answers = (
            f"the logarithms, in half precision, of {answers} (tf.nn.softmax gives "
            "these back)"
        )
    return (
        "What image classifiers whose insides are known answer to the same "
        f"{len(queries)} queries: {sent}. One record for each entry of a zoo, a "
        f"classifier or an ensemble of some: its attributes ({codes}) and {answers} "
        "for every query. A metamodel learns to read the attributes from them. The "
        f"only split, '{records.SPLIT_NAME}', holds all entries; divide them by "
        "combination_id to train and to test. Made with kennen_tf, which has its own "
        "reader."
    )


def features(
    table: AttributeTable, num_queries: int, num_classes: int, is_half: bool = False
) -> tfds.features.FeaturesDict:
    """Returns the schema of a record as TensorFlow Datasets declares it."""
    declared = records.fields(table, num_queries, num_classes, is_half)
    return tfds.features.FeaturesDict({n: _feature(f) for n, f in declared.items()})


def _feature(field: records.Field) -> Any:
    doc = tfds.features.Documentation(desc=field.doc, value_range=field.range)
    if field.values is not None:
        return tfds.features.ClassLabel(
            names=[str(value) for value in field.values], doc=doc
        )
    if field.dtype == tf.string:
        if field.shape:
            return tfds.features.Sequence(tfds.features.Text(), doc=doc)
        return tfds.features.Text(doc=doc)
    dtype = field.dtype.as_numpy_dtype
    encoding = tfds.features.Encoding.NONE
    if field.dtype == tf.float16:
        encoding = tfds.features.Encoding.BYTES
    return tfds.features.Tensor(
        shape=field.shape, dtype=dtype, encoding=encoding, doc=doc
    )
