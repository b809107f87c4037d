"""What a package says of itself: package.json, for programs, and README.md."""

import pathlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from kennen_tf.configs.packaging import PackageConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.evaluation import splits
from kennen_tf.evaluation.splits import Split
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo.store import Zoo

_MNIST = "mnist"
_MNIST_LICENCE = (
    "The query images are of MNIST, or made from it: CC BY-SA 3.0, see "
    "kennen_tf/data/mnist/NOTICE."
)
_WIDTH = 88
# What of a zoo's settings says what its classifiers are.
_ZOO_SETTINGS = ("design", "dataset", "epochs", "min_accuracy", "compute_dtype")


def command() -> list[str]:
    """Returns the command of this process, without where its files are."""
    return ["python", "-m", "kennen_tf.package_zoo", *without_places(sys.argv[1:])]


def without_places(arguments: Sequence[str]) -> list[str]:
    """Returns a command line without the folders that absolute paths are in.

    Where the files of a machine are is nobody's concern.
    """
    return [
        f"{name}={pathlib.Path(value).name}"
        if equals and pathlib.Path(value).is_absolute()
        else pathlib.Path(argument).name
        if pathlib.Path(argument).is_absolute()
        else argument
        for argument in arguments
        for name, equals, value in [argument.partition("=")]
    ]


def describe(
    config: PackageConfig,
    info: QueryOutputsInfo,
    zoo: Zoo | None,
    split: Split,
    parts: Mapping[str, QueryOutputsInfo],
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what package.json holds.

    Args:
        config: Settings.
        info: The query outputs that it is made from.
        zoo: Their zoo, if it is there.
        split: On whose training side queries were chosen and crafted.
        parts: The query outputs in it, by folder.
        said: What else there is to say.
    """
    settings = zoo.config.to_json() if zoo else {}
    num_ensembles = sum(len(entry.members) > 1 for entry in info.entries)
    licence = [config.licence] if config.licence else []
    if isinstance(zoo and zoo.config, ZooConfig) and settings["dataset"] == _MNIST:
        licence.append(_MNIST_LICENCE)
    return {
        "kind": packages.KIND,
        "schema_version": packages.SCHEMA_VERSION,
        "config": config.to_json(),
        "made_from": made_from(info),
        "fingerprints": {name: own.fingerprint for name, own in parts.items()},
        "split": {
            "split": splits.RANDOM,
            "seed": config.seed,
            "num_train": len(split.train_ids),
            "num_test": len(split.test_ids),
        },
        "counts": {
            "classifiers": len(info.entries) - num_ensembles,
            "ensembles": num_ensembles,
            "attributes": len(info.attributes),
            **{f"{name} queries": own.num_queries for name, own in parts.items()},
        },
        "has_zoo": zoo is not None,
        "zoo": {name: settings[name] for name in _ZOO_SETTINGS if name in settings},
        "min_accuracy": info.config.min_accuracy
        if isinstance(info.config, QueryConfig)
        else None,
        "licence": licence,
        "provenance": artifacts.provenance(command()),
        **said,
    }


def made_from(info: QueryOutputsInfo) -> dict[str, str]:
    """Returns what names all that a package is made from."""
    return {"query_outputs": info.fingerprint, "zoo": info.zoo_fingerprint}


def write(folder: pathlib.Path, description: Mapping[str, Any]) -> None:
    """Writes README.md and, last, package.json."""
    text = _readme(description)
    artifacts.write_bytes(folder / packages.README_NAME, text.encode())
    artifacts.write_json(folder / packages.PACKAGE_NAME, description)


def _readme(description: Mapping[str, Any]) -> str:
    counts, split = description["counts"], description["split"]
    num_natural = counts["natural queries"]
    crafted = ""
    if "crafted queries" in counts:
        given = description["config"].get("crafted_queries")
        of_whom = f"\n  of `{given}`, which" if given else " that"
        crafted = (
            f"- `crafted/`: what they answer to {counts['crafted queries']} images"
            f"{of_whom} kennen-io crafted.\n"
        )
    if description.get("has_kennen_i"):
        crafted += (
            "- `kennen-i/`: an exported metamodel that crafted an image for each "
            "attribute.\n"
        )
    if found := description.get("strangers"):
        crafted += (
            f"- `strangers.npz`: what {found['count']} classifiers that are no "
            "networks answer to the\n  same images, as logarithms of probabilities.\n"
        )
    manifest = ""
    if description["has_zoo"]:
        manifest = (
            "- `zoo/`: of each classifier trained, accepted or not, its values, seed, "
            "accuracy\n  and the hash of its file.\n"
        )
    # Without epochs of its own, a zoo has those that its design says.
    settings = {**description["zoo"]}
    if not settings.get("epochs"):
        settings.pop("epochs", None)
    zoo = ", ".join(f"{name} {value}" for name, value in settings.items())
    ensembles = ""
    if counts["ensembles"]:
        ensembles = f" and {counts['ensembles']:,} ensembles of some of them"
    about = (
        f"What {counts['classifiers']:,} image classifiers{ensembles} answer to the "
        "same images. Of each, "
        f"{counts['attributes']} attributes of its insides are known. The zoo: "
        f"{zoo or 'imported'}."
    )
    made = (
        "Queries were chosen and crafted on the training side of the random split R of "
        f"seed {split['seed']}, {split['num_train']:,} entries; the other "
        f"{split['num_test']:,} had no part in it. Entries of one `combination_id` "
        "belong on one side of any split."
    )
    about, made = (textwrap.fill(text, _WIDTH) for text in (about, made))
    licence = description["licence"] or ["Nothing is said of it"]
    said = [text if text.endswith(".") else f"{text}." for text in licence]
    loss = ""
    if rows := description.get("half_precision"):
        lines = [
            f"| {row['reader']} | {100 * row['full']:.1f} | {100 * row['half']:.1f} |"
            for row in rows
        ]
        loss = (
            "\nWhat half precision costs: class-balanced accuracy in %, average of all "
            "attributes, on entries held out.\n\n"
            "| metamodel | full | half |\n| --- | --- | --- |\n"
            + "\n".join(lines)
            + "\n"
        )
    return f"""\
# Answers of {counts["classifiers"]:,} classifiers

{about}

- `natural/`: what they answer to {num_natural} validation images, in the order in which
  kennen-s chooses them, those that tell most first.
{crafted}{manifest}- `package.json`: what it was made from, and how.

Answers are in half precision, as logarithms of probabilities.
{loss}
{made}

## Reading it

With kennen_tf, `--query_dir` takes this folder, or `crafted` in it. Without:

```python
import tensorflow as tf
import tensorflow_datasets as tfds

builder = tfds.builder_from_directory("natural")
for entry in builder.as_dataset(split="entries"):
    probabilities = tf.nn.softmax(tf.cast(entry["log_probabilities"], tf.float32))
    # ({num_natural}, classes), and e.g. entry["combination_id"]
```

Or with nothing but TensorFlow, answers alone:

```python
files = tf.io.gfile.glob("natural/query_outputs-*")
spec = {{"log_probabilities": tf.io.FixedLenFeature((), tf.string)}}
for record in tf.data.TFRecordDataset(files):
    stored = tf.io.parse_single_example(record, spec)["log_probabilities"]
    halves = tf.reshape(tf.io.decode_raw(stored, tf.float16), ({num_natural}, -1))
    probabilities = tf.nn.softmax(tf.cast(halves, tf.float32))
```

The images that were sent are in `natural/queries.npz`, in the same order.

## Licence

{textwrap.fill(" ".join(said), _WIDTH)}
"""
