"""kennen-io: images and a metamodel, learned in turn (paper, section 4).

The metamodel is kennen-o's. What alternates, how long, and what the images are to make
small, is in the recipe (`configs/crafting.py`). After an image phase, the images are
rounded to 8 bits, as they are sent; all training entries answer them once, and the
metamodel learns from these answers until the next phase.
"""

import dataclasses
import functools
import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm

from kennen_tf.configs.crafting import IMAGES
from kennen_tf.configs.recipes import Recipe
from kennen_tf.metamodels.crafted_run import (
    IMAGES_CHECKPOINT,
    Answers,
    CraftedRun,
)
from kennen_tf.metamodels.crafting import start_images
from kennen_tf.metamodels.crafting.descent import Descent, ask, round_to_bytes
from kennen_tf.metamodels.crafting.losses import (
    LeftOutLoss,
    MetamodelLoss,
    ReaderObjective,
)
from kennen_tf.metamodels.crafting.phases import Phase, list_phases
from kennen_tf.metamodels.metrics import score
from kennen_tf.metamodels.recipes import callbacks, fitting, solving
from kennen_tf.queries import representations
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary.seeds import derive_seed
from pipelines import query_outputs


def train(run: CraftedRun) -> tuple[keras.Model, QueryInputs, dict[str, Any]]:
    """Learns images and metamodel, or goes on learning them.

    Returns:
        The metamodel, the crafted queries, and the last row of the metrics.
    """
    return _Training(run).run()


class _Training:
    """A training of kennen-io on its way.

    Where a resumed one stands follows from two things: how many epochs the images have
    behind them, and the checkpoint of the metamodel that is learned after that many.
    """

    def __init__(self, run: CraftedRun):
        config = run.config
        self._run = run
        self._recipe = config.make_crafting_recipe()
        # What has no gradient is read by a metamodel of its own, at the end; until
        # then, images and metamodel learn from probabilities.
        self._reads_last = (
            self._recipe.objective == "metamodel"
            and config.representation not in representations.DIFFERENTIABLE
        )
        self._phases = list_phases(self._recipe.phases, reads_last=self._reads_last)
        self._labels = run.info.labels(run.train_entries)
        self._combination_ids = [e.combination_id for e in run.train_entries]
        self._bank = run.open_bank()
        self._is_held_out = self._draw_held_out()
        self._starts = self._make_starts()
        self._descent = Descent(
            self._recipe,
            self._bank,
            run.train_entries,
            self._starts.pixels,
            config.seed,
            skip=self._is_held_out,
            # Of the starts, validation images alone have an index.
            keep=(self._starts.indices >= 0) & self._recipe.keeps_validation,
        )
        self._descent.restore(run.checkpoints / IMAGES_CHECKPOINT)
        self._log = run.open_log(self._epochs_done())
        self._reader: fitting.Reader | None = None

    def _make_starts(self) -> QueryInputs:
        config, stored = self._run.config, self._run.stored_queries
        starts, places = self._recipe.starts, range(config.num_queries)
        kinds = [starts[place % len(starts)] for place in places]
        validation = stored.take([place % len(stored) for place in places])
        return start_images.make_starts(kinds, validation, config.seed_of_queries)

    def _draw_held_out(self) -> npt.NDArray[np.bool_]:
        """Says which training entries the images do not descend through."""
        combinations = sorted(set(self._combination_ids))
        seed = derive_seed(self._run.config.seed, "held out from the images")
        count = round(self._recipe.held_out_share * len(combinations))
        drawn = np.random.default_rng(seed).permutation(combinations)[:count]
        return np.isin(self._combination_ids, drawn)

    def run(self) -> tuple[keras.Model, QueryInputs, dict[str, Any]]:
        for phase in self._phases:
            if phase.name == IMAGES:
                self._craft(phase)
            elif phase.image_epochs == self._descent.epoch:
                self._learn(phase)
        reader = self._reader
        if reader is None:
            raise ValueError("The last phase must be the metamodel's.")
        spans = [(p.name, p.first_epoch, p.last_epoch) for p in self._phases]
        self._run.show_curves(self._log, spans)
        self._log.end(self._phases[-1].last_epoch, reader.predict_logits, self._test)
        return reader.answering, self._queries(), self._log.rows[-1]

    def _craft(self, phase: Phase) -> None:
        """Descends on the images to the end of a phase."""
        config, descent = self._run.config, self._descent
        if descent.epoch >= phase.image_epochs:
            return
        objective = self._make_objective(phase)
        first = phase.image_epochs_before
        offset = phase.first_epoch - first
        if not self._log.rows:
            self._evaluate_images(0, objective)
        with tqdm.tqdm(
            total=phase.length,
            initial=descent.epoch - first,
            desc=f"{config.method}, images",
            unit="epoch",
            leave=None,
        ) as bar:
            while descent.epoch < phase.image_epochs:
                if descent.epoch == 0:
                    self._judge()
                loss = descent.run_epoch(objective)
                self._judge()
                bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                bar.update()
                is_last = descent.epoch == phase.image_epochs
                done = descent.epoch - first
                if is_last or done % config.evaluate_every == 0:
                    self._evaluate_images(offset + descent.epoch, objective)
                # After its epoch's row, so that no row is missing after it.
                if is_last or done % config.checkpoint_every == 0:
                    descent.save(self._run.checkpoints / IMAGES_CHECKPOINT)

    def _judge(self) -> None:
        """Tells the descent how good the images are, for entries held out from it."""
        if self._is_held_out.any():
            outputs = self._ask(self._descent.images)
            error = self._make_reader().held_out_error(outputs, self._is_held_out)
            self._descent.judge(error)

    def _learn(self, phase: Phase) -> None:
        """Trains the metamodel on what the images bring now, to the end of a phase."""
        run, config = self._run, self._run.config
        pixels = self._queries().pixels
        probabilities = np.exp(self._ask(pixels))
        is_last = phase == self._phases[-1]
        representation = config.representation
        if self._reads_last and not is_last:
            representation = representations.DIFFERENTIABLE[0]
        train = run.represent(Answers(probabilities, self._labels), representation)
        test = run.represent(run.ask_test_entries(pixels), representation)
        self._test = test
        recipe = config.make_recipe(run.table)
        if not isinstance(recipe, Recipe):
            models = solving.fit(
                recipe, run.table, train.features, self._labels, self._combination_ids
            )
            self._reader = reader = fitting.Reader(run.table, *models)
            self._log.evaluate(phase.last_epoch, reader.predict_logits, train, test)
            return
        trainer = self._open_trainer(phase, train.features)
        # A metamodel that standardises, or reads something else, starts anew.
        goes_on = not (recipe.standardize or self._reads_last and is_last)
        before = self._last_trainer(phase) if goes_on else None
        if before and trainer.first_epoch == 0:
            trainer.model.set_weights(before.model.get_weights())
        self._reader = trainer
        path = self._checkpoint_of(phase)
        bar = callbacks.ProgressBar(
            trainer.first_epoch, trainer.num_epochs, f"{config.method}, metamodel"
        )

        def evaluate(epoch: int) -> None:
            epoch += phase.first_epoch
            self._log.evaluate(epoch, trainer.predict_logits, train, test)

        def save(epoch: int) -> None:
            callbacks.save_checkpoint(path, trainer.model, epoch)

        def make_stream(batch_size: int, first_epoch: int) -> tf.data.Dataset:
            return query_outputs.make_array_dataset(
                train.features,
                self._labels,
                batch_size=batch_size,
                shuffle_seed=derive_seed(
                    config.seed, "order of training", phase.number
                ),
                first_epoch=first_epoch,
            )

        every = callbacks.EveryFewEpochs
        trainer.fit(
            make_stream,
            [
                every(evaluate, config.evaluate_every, trainer.num_epochs),
                every(save, config.checkpoint_every, trainer.num_epochs),
                bar,
            ],
        )

    def _open_trainer(
        self, phase: Phase, features: npt.NDArray[np.float32]
    ) -> fitting.Trainer:
        table = self._run.table
        recipe = self._run.config.make_recipe(table)
        if not isinstance(recipe, Recipe):
            raise ValueError("Images cannot learn from a metamodel that is solved for.")
        # A metamodel that goes on from another one must not take its place.
        is_only = sum(p.name != IMAGES for p in self._phases) == 1
        return fitting.Trainer.start(
            dataclasses.replace(recipe, epochs=phase.length),
            table,
            features,
            self._labels,
            seed=derive_seed(self._run.config.seed, "phase", phase.number),
            strategy=self._run.strategy,
            checkpoint_path=self._checkpoint_of(phase),
            compiled=self._run.compiled if is_only else None,
        )

    def _make_objective(self, phase: Phase) -> ReaderObjective:
        if self._recipe.objective == "left-out":
            return self._make_reader()
        trainer = self._last_trainer(phase)
        if trainer is None:
            raise ValueError(
                "Images cannot learn from a metamodel before there is one."
            )
        return MetamodelLoss(trainer, self._labels)

    def _last_trainer(self, phase: Phase) -> fitting.Trainer | None:
        """Returns the metamodel of the last phase before this one that has any."""
        done = [p for p in self._phases[: phase.number] if p.name != IMAGES]
        if self._reader is None and done:
            # Resumed. It does not standardise, so the features do not matter.
            run = self._run
            sizes = len(run.train_entries), len(self._starts), run.info.num_classes
            self._reader = self._open_trainer(done[-1], np.zeros(sizes, np.float32))
        return self._reader if isinstance(self._reader, fitting.Trainer) else None

    def _evaluate_images(self, epoch: int, objective: ReaderObjective) -> None:
        """Writes a row of metrics and draws the images."""
        pixels = self._queries().pixels
        train = self._ask(pixels)
        test = self._run.ask_test_entries(pixels)
        logits = objective.predict_logits(train, test.log_probabilities)
        self._log.add_scores(epoch, logits, (self._labels, test.labels))
        captions = [
            f"{100 * before:.0f}% to {100 * after:.0f}%"
            for before, after in zip(
                self._scores_of_starts, self._score_images(train), strict=True
            )
        ]
        self._run.show_images(self._log, epoch, pixels, self._starts.pixels, captions)

    @functools.cached_property
    def _scores_of_starts(self) -> list[float]:
        return self._score_images(self._ask(self._starts.pixels))

    def _score_images(self, log_probabilities: npt.NDArray[np.float32]) -> list[float]:
        """Returns what each image tells alone.

        That is the average accuracy over attributes of a ridge regression that reads
        its outputs, on training entries that it was not fitted to.
        """
        reader = self._make_reader()
        scores = []
        for place in range(log_probabilities.shape[1]):
            own = log_probabilities[:, [place]]
            logits, _ = reader.predict_logits(own, own[:1])
            found = score(
                self._run.table, self._labels, logits, self._run.split_attributes
            )
            scores.append(found["average"] or 0.0)
        return scores

    def _ask(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns what all training entries answer; see `crafting.ask`."""
        return ask(self._bank, self._run.train_entries, images)

    def _make_reader(self) -> LeftOutLoss:
        return LeftOutLoss(
            self._run.table, self._labels, self._combination_ids, self._recipe.ridge
        )

    def _queries(self) -> QueryInputs:
        """Returns the images as they are sent."""
        descent = self._descent
        is_judged = self._is_held_out.any()
        images = round_to_bytes(descent.best_images if is_judged else descent.images)
        return dataclasses.replace(self._starts, images=images)

    def _checkpoint_of(self, phase: Phase) -> pathlib.Path:
        return self._run.checkpoints / f"metamodel-{phase.number}.npz"

    def _epochs_done(self) -> int:
        """Returns how many epochs the checkpoints say are done, of all phases."""
        done = self._descent.epoch
        for phase in self._phases:
            if phase.name == IMAGES:
                own = max(done - phase.image_epochs_before, 0)
            elif done > phase.image_epochs:
                own = phase.length
            else:
                own = callbacks.saved_epoch(self._checkpoint_of(phase))
            if own < phase.length:
                return phase.first_epoch + own
        return self._phases[-1].last_epoch
