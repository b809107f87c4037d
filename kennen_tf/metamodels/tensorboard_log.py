"""What TensorBoard shows of a training: one run, named as the metamodel's folder.

`fit`'s own callback for TensorBoard writes into folders of its own, a run each for
training and validation, and after a kill shows the epochs that are trained again twice.
"""

import pathlib
from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalars
from tensorboard.plugins.hparams import api as hparams

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs import crafting
from kennen_tf.configs.metamodels import ALL_ATTRIBUTES, MetamodelConfig
from kennen_tf.configs.recipes import Recipe

SIDES = ("train", "test")
# Of all event files, as TensorFlow names them.
EVENTS_PATTERN = "events.out.tfevents.*"
_AVERAGE = "average"


def run_name(config: MetamodelConfig) -> str:
    """Returns e.g. "kennen-o/mlp/seed0"."""
    recipe = [] if config.method == "linear" else [config.recipe]
    return "/".join([config.method, *recipe, f"seed{config.seed}"])


def make_settings(
    config: MetamodelConfig, table: AttributeTable, num_train: int
) -> dict[str, Any]:
    """Returns what had an influence on a training, as TensorBoard's HParams show it.

    What matters most is numbered, as HParams sorts columns by name.

    Args:
        config: Settings for the zoo that was queried.
        table: The attributes of the zoo.
        num_train: Number of entries that are trained on.
    """
    is_ranked = config.representation == "top-k"
    settings: dict[str, Any] = {
        "1 method": config.method,
        "2 recipe": config.recipe,
        "3 seed": config.seed,
        "4 classifiers": num_train,
        "5 queries": config.num_queries,
        "answers": f"top-{config.top_k}" if is_ranked else config.representation,
        "split": config.split,
    }
    recipe = config.make_recipe(table)
    if config.method == "linear":
        del settings["2 recipe"]
    elif isinstance(recipe, Recipe) and not config.is_solved:
        settings["batch size"] = recipe.batch_size
        settings["epochs"] = recipe.epochs
        settings["learning rate"] = recipe.learning_rate
    if config.is_crafted:
        crafted = config.make_crafting_recipe()
        lengths = [n for name, n in crafted.phases if name == crafting.IMAGES]
        settings["image epochs"] = sum(lengths)
        settings["starts"] = ", ".join(dict.fromkeys(crafted.starts))
    if config.attribute != ALL_ATTRIBUTES:
        settings["attribute"] = config.attribute
    if config.seed_of_queries != config.seed:
        settings["query seed"] = config.seed_of_queries
    return settings


class TensorBoardLog:
    """Writes the events of a training into its folder, in place of any of before."""

    def __init__(
        self,
        folder: pathlib.Path,
        table: AttributeTable,
        config: MetamodelConfig,
        skip: Collection[str],
        num_train: int,
    ):
        """Begins with the settings; arguments are those of `metrics.MetricsLog`."""
        for path in folder.glob(EVENTS_PATTERN):
            path.unlink()
        self._writer = tf.summary.create_file_writer(str(folder))
        settings = make_settings(config, table, num_train)
        # Those of two folders are two trials, though all that is shown is the same.
        name = run_name(config)
        trial = name if str(folder).endswith(name) else f"{name} ({folder.name})"
        named = [a for a in config.named(table).names if a not in skip]
        with self._writer.as_default(0):
            hparams.hparams_config(
                hparams=[hparams.HParam(name) for name in settings],
                metrics=[
                    hparams.Metric(
                        f"accuracy/{side}/{_AVERAGE}",
                        display_name=f"average accuracy, {side}",
                    )
                    for side in reversed(SIDES)
                ],
            )
            hparams.hparams(settings, trial_id=trial)
            layout = custom_scalars.pb(_make_layout(named)).SerializeToString()
            tf.summary.experimental.write_raw_pb(layout)

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Writes a row of metrics; see `metrics.MetricsLog`."""
        scalars = {}
        for side in SIDES:
            own = row[side]
            scalars[f"loss/{side}"] = own["loss"]
            if own["average"] is not None:
                scalars[f"accuracy/{side}/{_AVERAGE}"] = own["average"]
            for name, accuracy in own["accuracy"].items():
                scalars[f"accuracy/{side}/{name}"] = accuracy
        self.add_scalars(row["epoch"], scalars)

    def add_scalars(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Writes numbers, by their tags."""
        with self._writer.as_default(epoch):
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value)
        self._writer.flush()

    def add_image(self, tag: str, epoch: int, png: bytes) -> None:
        """Writes an image."""
        with self._writer.as_default(epoch):
            tf.summary.image(tag, tf.io.decode_png(png)[tf.newaxis])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _make_layout(names: Collection[str]) -> layout_pb2.Layout:
    """Returns charts for the tab "Custom scalars", each with both sides."""

    def chart(title: str, tag: str) -> layout_pb2.Chart:
        tags = [f"^{tag.format(side)}$" for side in SIDES]
        lines = layout_pb2.MultilineChartContent(tag=tags)
        return layout_pb2.Chart(title=title, multiline=lines)

    accuracies = [chart(n, f"accuracy/{{}}/{n}") for n in (_AVERAGE, *names)]
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title="class-balanced accuracy", chart=accuracies),
            layout_pb2.Category(title="loss", chart=[chart("loss", "loss/{}")]),
        ]
    )
