"""kennen-i: one crafted image for each attribute (paper, section 4).

An image is made such that the class that a classifier sees in it is the label of the
classifier's attribute: for max pooling "1" with it and "0" without. Of a black box it
needs one label for one image. Classifiers without a value of an attribute count neither
for its image nor for what the classes seen in it mean.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.evaluation import figures
from kennen_tf.evaluation.accuracy import class_balanced_accuracy
from kennen_tf.metamodels import left_out, limiting, metrics
from kennen_tf.metamodels.crafted_run import IMAGES_CHECKPOINT, CraftedRun, Pixels
from kennen_tf.metamodels.crafting import start_images
from kennen_tf.metamodels.crafting.descent import Descent, ask, round_to_bytes
from kennen_tf.metamodels.crafting.losses import NamedClasses
from kennen_tf.metamodels.limiting import Limited
from kennen_tf.metamodels.metrics import Side
from kennen_tf.metamodels.recipes import heads
from kennen_tf.metamodels.trained import Trained
from kennen_tf.queries import representations
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary.errors import UserError

# What is taken as seen once before any classifier is: the label itself named, and any
# other class a tenth of that.
_PRIOR_OF_LABEL, _PRIOR_OF_OTHERS = 1.0, 0.1
# Log-probability of a value that no training entry has.
_UNSEEN = -50.0

# Between features of the likeliest class and of any other lie as many as there are.
_SHARPEN = 10.0

Classes = npt.NDArray[np.integer]
Table = npt.NDArray[np.float32]


def train(run: CraftedRun) -> Trained:
    """Crafts the images, or goes on crafting them.

    Each attribute has an image from each of the recipe's starts; the one that names
    most training entries rightly is taken: queries are in the order of the attributes.
    """
    return _Training(run).run()


class _Training:
    """A training of kennen-i on its way."""

    def __init__(self, run: CraftedRun):
        config = run.config
        self._run = run
        self._recipe = config.make_crafting_recipe()
        self._named = config.named(run.table)
        self._labels = run.info.labels(run.train_entries)
        # All starts of an attribute side by side.
        self._names = [n for n in self._named.names for _ in self._recipe.starts]
        kinds = list(self._recipe.starts) * len(self._named)
        stored = run.stored_queries
        validation = stored.take([place % len(stored) for place in range(len(kinds))])
        self._starts = start_images.make_starts(
            kinds, validation, config.seed_of_queries
        )
        self._is_held_out = run.draw_held_out(self._recipe.held_out_share)
        self._bank = run.open_bank()
        self._descent = Descent(
            self._recipe,
            self._bank,
            run.train_entries,
            self._starts.pixels,
            config.seed,
            skip=self._is_held_out,
        )
        self._descent.restore(run.checkpoints / IMAGES_CHECKPOINT)
        self._log = run.open_log(self._descent.epoch)

    def run(self) -> Trained:
        descent, config = self._descent, self._run.config
        named_classes = NamedClasses(self._labels, self._names)
        [(phase, num_epochs)] = self._recipe.phases
        if not self._log.rows:
            self._evaluate()
        with tqdm.tqdm(
            total=num_epochs,
            initial=descent.epoch,
            desc=config.method,
            unit="epoch",
            leave=None,
        ) as bar:
            while descent.epoch < num_epochs:
                loss = descent.run_epoch(named_classes)
                self._log.add_epoch(descent.epoch, {"images/loss": float(loss)})
                bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
                bar.update()
                is_last = descent.epoch == num_epochs
                if is_last or descent.epoch % config.image_epochs_between == 0:
                    self._evaluate()
                # After its epoch's row, so that no row is missing after it.
                if is_last or descent.epoch % config.checkpoint_every == 0:
                    descent.save(self._run.checkpoints / IMAGES_CHECKPOINT)
        self._run.show_curves(self._log, [(phase, 0, num_epochs)])
        self._log.close()
        readings = self._choose()
        seen = np.stack([reading.seen for reading in readings], axis=1)
        side = Side(_sure_features(seen, self._run.info.num_classes), self._labels)
        queries = self._queries(readings)
        return Trained.of(
            self._limit(readings, side),
            crafted=queries,
            last=self._log.rows[-1],
            query_accuracies=metrics.score_queries(side, queries.labels, "top-1"),
        )

    def _limit(self, readings: "Sequence[_Reading]", side: Side) -> Limited:
        """Builds the metamodel, and finds how far its tables are to be trusted."""
        named = list(self._named)

        def refit(others: Side, _: Sequence[str]) -> keras.Model:
            classes = others.features.argmax(axis=-1)
            tables = [
                _fit_table(
                    classes[:, place],
                    others.labels[attribute.name],
                    len(attribute.values),
                    self._run.info.num_classes,
                )
                for place, attribute in enumerate(named)
            ]
            return _build(tables, named)

        model = _build([reading.table for reading in readings], named)
        ids = [entry.combination_id for entry in self._run.train_entries]
        is_held_out = self._is_held_out
        # Those that the images descended through are known better than any others.
        parts = [is_held_out] if is_held_out.any() else left_out.deal(ids)
        return limiting.limit_refitted(refit, model, side, ids, parts)

    def _choose(self) -> "list[_Reading]":
        """Returns the reading of each attribute's best image."""
        seen = self._see(self._descent.images)
        readings = []
        for attribute in self._named:
            candidates = [
                self._read(attribute, place, seen[:, place])
                for place, name in enumerate(self._names)
                if name == attribute.name
            ]
            # Of equally good ones, the first.
            readings.append(max(candidates, key=lambda reading: reading.accuracy))
        return readings

    def _read(self, attribute: Attribute, place: int, seen: Classes) -> "_Reading":
        labels = self._labels[attribute.name]
        num_classes = self._run.info.num_classes
        table = _fit_table(seen, labels, len(attribute.values), num_classes)
        return _Reading(place, table, _accuracy(table, seen, labels), seen)

    def _queries(self, readings: "Sequence[_Reading]") -> QueryInputs:
        places = [reading.place for reading in readings]
        starts = self._starts.take(places)
        images = round_to_bytes(self._descent.images[places])
        return QueryInputs(images=images, labels=starts.labels, indices=starts.indices)

    def _see(self, images: Pixels) -> Classes:
        """Returns the class that training entries see, `(entries, n)`."""
        pixels = round_to_bytes(images).astype(np.float32) / np.float32(255)
        return ask(self._bank, self._run.train_entries, pixels).argmax(axis=-1)

    def _evaluate(self) -> None:
        """Writes a row of metrics and draws the images."""
        readings = self._choose()
        queries = self._queries(readings)
        test = self._run.ask_test_entries(queries.pixels)
        tables = [reading.table for reading in readings]
        train_seen = np.stack([reading.seen for reading in readings], axis=1)
        sides = {
            "train": (train_seen, self._labels),
            "test": (test.probabilities.argmax(axis=-1), test.labels),
        }
        row: dict[str, Any] = {"epoch": self._descent.epoch}
        for name, (seen, labels) in sides.items():
            row[name] = self._score(tables, seen, labels)
        self._log.add_row(row)
        starts = self._starts.take([reading.place for reading in readings]).pixels
        seen_before = self._see(starts)
        captions = []
        for place, (attribute, reading) in enumerate(
            zip(self._named, readings, strict=True)
        ):
            before = self._read(attribute, place, seen_before[:, place])
            change = f"{100 * before.accuracy:.0f}% to {100 * reading.accuracy:.0f}%"
            parts = [figures.name_in_full(attribute), figures.class_key(attribute)]
            captions.append("\n".join([*parts, change]))
        self._run.show_images(
            self._log,
            self._descent.epoch,
            queries.pixels,
            starts,
            captions,
            "below: which class seen in it stands for which value; training\n"
            "classifiers named rightly by the start, and by the crafted image",
        )

    def _score(
        self, tables: Sequence[Table], seen: Classes, labels: heads.Labels
    ) -> dict[str, Any]:
        """Returns what `metrics.score` does, for the attributes that are named."""
        loss, accuracies = 0.0, {}
        for place, attribute in enumerate(self._named):
            is_known = labels[attribute.name] >= 0
            if not is_known.any():
                continue
            true = labels[attribute.name][is_known]
            table, classes = tables[place], seen[is_known, place]
            loss -= float(np.mean(table[classes, true]))
            is_scored = attribute.name not in self._run.split_attributes
            if is_scored and len(np.unique(true)) > 1:
                accuracies[attribute.name] = _accuracy(table, classes, true)
        average = float(np.mean(list(accuracies.values()))) if accuracies else None
        return {"loss": loss, "accuracy": accuracies, "average": average}


@dataclasses.dataclass(frozen=True)
class _Reading:
    """What an image tells of an attribute.

    Attributes:
        place: Of the image among all that are crafted.
        table: What each class means; see `_fit_table`.
        accuracy: Class-balanced, on the training entries.
        seen: The classes that training entries see, `(entries,)`.
    """

    place: int
    table: Table
    accuracy: float
    seen: Classes


def _fit_table(
    seen: Classes, labels: Classes, num_values: int, num_classes: int
) -> Table:
    """Counts what it means when a class is seen, over entries that have a value.

    Returns:
        Log-probabilities of the values by class, float32 `(classes, values)`, all
        values that occur being as likely beforehand.
    """
    seen, labels = seen[labels >= 0], labels[labels >= 0]
    count = np.full((num_classes, num_values), _PRIOR_OF_OTHERS)
    count[range(num_values), range(num_values)] = _PRIOR_OF_LABEL
    np.add.at(count, (seen, labels), 1.0)
    likelihood = count / count.sum(axis=0)
    table = np.log(likelihood / likelihood.sum(axis=1, keepdims=True))
    occurs = np.bincount(labels, minlength=num_values) > 0
    return np.where(occurs, table, _UNSEEN).astype(np.float32)


def _sure_features(seen: Classes, num_classes: int) -> npt.NDArray[np.float32]:
    """Returns what is read where these classes are seen, `(entries, n, classes)`."""
    answers = np.eye(num_classes, dtype=np.float32)[seen]
    return representations.represent(answers, "top-1").numpy()


def _accuracy(table: Table, seen: Classes, labels: Classes) -> float:
    is_known = labels >= 0
    named = table[seen[is_known]].argmax(axis=1)
    accuracy = class_balanced_accuracy(labels[is_known], named, table.shape[1])
    return float(accuracy or 0.0)


def _build(tables: Sequence[Table], named: Sequence[Attribute]) -> keras.Model:
    """Builds the metamodel: it looks up what the class seen in each image means.

    Returns:
        From features `(batch, n, classes)`, of the representation "top-1", to a dict
        from attribute to probabilities `(batch, values)`.
    """
    features = keras.Input((len(tables), len(tables[0])), name="features")
    # Top-1 leaves little for the other classes, and this takes it to nothing.
    seen = keras.layers.Flatten()(keras.layers.Softmax()(_SHARPEN * features))
    answers = {}
    for place, (attribute, table) in enumerate(zip(named, tables, strict=True)):
        kernel = np.zeros((len(tables), *table.shape), np.float32)
        kernel[place] = table
        layer = keras.layers.Dense(
            len(attribute.values),
            activation="softmax",
            use_bias=False,
            name=attribute.name,
        )
        answers[attribute.name] = layer(seen)
        layer.set_weights([kernel.reshape(-1, table.shape[1])])
    return keras.Model(features, answers, name="kennen_i")


def check_num_values(named: AttributeTable, num_classes: int) -> None:
    """Raises `UserError` if an attribute has more values than classifiers classes."""
    for attribute in named:
        if len(attribute.values) > num_classes:
            raise UserError(
                "kennen-i names an attribute by a class: it must have at most "
                f"{num_classes} values. Received: {attribute.name}, with "
                f"{len(attribute.values)}. Choose another with --attribute."
            )
