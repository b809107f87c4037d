"""kennen-io: images and a metamodel, learned in turn (paper, section 4).

The metamodel is kennen-o's. What alternates, how long, and what the images are to make
small, is in the recipe (`configs/crafting.py`). After an image phase, the images are
rounded to 8 bits, as they are sent; all training entries answer them once, and the
metamodel learns from these answers until the next phase.
"""

import dataclasses
import functools
import pathlib

import numpy as np
import numpy.typing as npt

from kennen_tf.configs.crafting import IMAGES
from kennen_tf.configs.recipes import Recipe
from kennen_tf.metamodels import limiting, metrics
from kennen_tf.metamodels.crafted_images import CraftedImages
from kennen_tf.metamodels.crafted_run import CraftedRun, LabeledAnswers
from kennen_tf.metamodels.crafting.losses import MetamodelLoss, NamingLoss
from kennen_tf.metamodels.crafting.phases import Phase, list_phases
from kennen_tf.metamodels.limiting import Limited
from kennen_tf.metamodels.recipes import (
    callbacks,
    checkpoints,
    fitting,
    heads,
    joining,
    solving,
)
from kennen_tf.metamodels.trained import Trained
from kennen_tf.queries import representations
from kennen_tf.vocabulary.seeds import derive_seed


def train(run: CraftedRun) -> Trained:
    """Learns images and metamodel, or goes on learning them."""
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
        self._images = CraftedImages(run)
        self._log = run.open_log(self._epochs_done())
        self._metamodel: fitting.PairedModels | None = None
        self._beside: joining.Beside | None = None

    def run(self) -> Trained:
        images = self._images
        for phase in self._phases:
            if phase.name == IMAGES:
                if images.epoch < phase.image_epochs:
                    images.craft(phase, self._make_loss(phase), self._log)
            elif phase.image_epochs == images.epoch:
                self._learn(phase)
        metamodel = self._metamodel
        if metamodel is None:
            raise ValueError("The last phase must be the metamodel's.")
        queries = images.queries()
        limited = Limited(model=metamodel.answering)
        scores: tuple[float, ...] = ()
        if self._run.keeps_curves:
            spans = [(p.name, p.first_epoch, p.last_epoch) for p in self._phases]
            self._run.show_curves(self._log, spans)
            last_epoch = self._phases[-1].last_epoch
            self._log.end(last_epoch, metamodel.predict_logits, self._test)
            limited = self._limit(metamodel)
            scores = metrics.score_queries(
                self._train, queries.labels, self._run.config.representation
            )
        else:
            self._log.close()
        return Trained.of(
            limited,
            crafted=queries,
            last=self._log.rows[-1],
            query_accuracies=scores,
        )

    def _limit(self, metamodel: fitting.PairedModels) -> Limited:
        """Finds the limits, from entries that had no part in the images, if any."""
        run, images = self._run, self._images
        ids, is_honest = images.combination_ids, images.is_held_out
        recipe = run.config.make_recipe(run.table)
        if isinstance(recipe, Recipe):
            return limiting.limit_trained(
                dataclasses.replace(recipe, epochs=self._phases[-1].length),
                run.table,
                metamodel.answering,
                self._train,
                ids,
                run.config.seed,
                run.strategy,
                is_honest=is_honest if is_honest.any() else None,
                beside=self._beside,
                reads_all=run.config.representation == "probabilities",
            )
        return limiting.limit_solved(
            recipe,
            run.table,
            metamodel.answering,
            self._train,
            ids,
            self._left_out,
            reads_all=run.config.representation == "probabilities",
            is_honest=is_honest if is_honest.any() else None,
        )

    def _learn(self, phase: Phase) -> None:
        """Trains the metamodel on what the images bring now, to the end of a phase."""
        run, config = self._run, self._run.config
        images = self._images
        pixels = images.queries().pixels
        probabilities = np.exp(images.ask(pixels))
        is_last = phase == self._phases[-1]
        representation = config.representation
        if self._reads_last and not is_last:
            representation = representations.DIFFERENTIABLE[0]
        train = run.represent(
            LabeledAnswers(probabilities, images.labels), representation
        )
        test = run.represent(run.ask_test_entries(pixels), representation)
        self._train, self._test = train, test
        recipe = config.make_recipe(run.table)
        if not isinstance(recipe, Recipe):
            self._left_out: heads.LeftOut = {}
            models = solving.fit(
                recipe,
                run.table,
                train.features,
                images.labels,
                images.combination_ids,
                self._left_out,
            )
            self._metamodel = solved = fitting.PairedModels(run.table, *models)
            self._log.evaluate(phase.last_epoch, solved.predict_logits, train, test)
            return
        trainer = self._open_trainer(phase, train.features)
        # A metamodel that standardises, or reads something else, starts anew.
        goes_on = not (recipe.standardize or self._reads_last and is_last)
        before = self._last_trainer(phase) if goes_on else None
        if before and trainer.first_epoch == 0:
            trainer.model.set_weights(before.model.get_weights())
        self._metamodel = trainer
        self._beside = None
        predict = trainer.predict_logits
        if is_last and recipe.beside is not None:
            self._beside = joining.Beside(
                recipe.beside,
                run.table,
                train.features,
                images.labels,
                images.combination_ids,
            )
            predict = functools.partial(self._beside.predict_logits, trainer)
        path = self._checkpoint_of(phase)
        bar = callbacks.ProgressBar(
            trainer.first_epoch, trainer.num_epochs, f"{config.method}, metamodel"
        )

        def add_epoch(epoch: int, numbers: dict[str, float]) -> None:
            self._log.add_epoch(phase.first_epoch + epoch, numbers)

        def evaluate(epoch: int) -> None:
            epoch += phase.first_epoch
            self._log.evaluate(epoch, predict, train, test)

        def save(epoch: int) -> None:
            checkpoints.save(path, trainer.model, epoch)

        shuffle_seed = derive_seed(config.seed, "order of training", phase.number)
        make_stream = fitting.stream_of(train.features, images.labels, shuffle_seed)

        every = callbacks.EveryFewEpochs
        trainer.fit(
            make_stream,
            [
                callbacks.EachEpoch(add_epoch),
                every(
                    evaluate,
                    config.epochs_between(trainer.num_epochs),
                    trainer.num_epochs,
                ),
                every(save, config.checkpoint_every, trainer.num_epochs),
                bar,
            ],
        )
        if self._beside is not None:
            self._metamodel = self._beside.join(recipe, trainer, train.features)

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
            self._images.labels,
            seed=derive_seed(self._run.config.seed, "phase", phase.number),
            strategy=self._run.strategy,
            checkpoint_path=self._checkpoint_of(phase),
            compiled=self._run.compiled if is_only else None,
        )

    def _make_loss(self, phase: Phase) -> NamingLoss:
        """Returns what the images of a phase are to make small."""
        if self._recipe.objective == "left-out":
            return self._images.make_left_out_loss()
        trainer = self._last_trainer(phase)
        if trainer is None:
            raise ValueError(
                "Images cannot learn from a metamodel before there is one."
            )
        return MetamodelLoss(trainer, self._images.labels)

    def _last_trainer(self, phase: Phase) -> fitting.Trainer | None:
        """Returns the metamodel of the last phase before this one that has any."""
        done = [p for p in self._phases[: phase.number] if p.name != IMAGES]
        if self._metamodel is None and done:
            # Resumed. It does not standardise, so the features do not matter.
            run = self._run
            sizes = (
                len(run.train_entries),
                len(self._images.starts),
                run.info.num_classes,
            )
            self._metamodel = self._open_trainer(done[-1], np.zeros(sizes, np.float32))
        return self._metamodel if isinstance(self._metamodel, fitting.Trainer) else None

    def _checkpoint_of(self, phase: Phase) -> pathlib.Path:
        return self._run.checkpoints / f"metamodel-{phase.number}.npz"

    def _epochs_done(self) -> int:
        """Returns how many epochs the checkpoints say are done, of all phases."""
        done = self._images.epoch
        for phase in self._phases:
            if phase.name == IMAGES:
                own = max(done - phase.image_epochs_before, 0)
            elif done > phase.image_epochs:
                own = phase.length
            else:
                own = checkpoints.saved_epoch(self._checkpoint_of(phase))
            if own < phase.length:
                return phase.first_epoch + own
        return self._phases[-1].last_epoch
