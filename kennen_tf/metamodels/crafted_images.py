"""The images of kennen-io: where they begin, and how they learn."""

import dataclasses
import functools

import numpy as np
import numpy.typing as npt
import tqdm

from kennen_tf.metamodels.crafted_run import IMAGES_CHECKPOINT, CraftedRun
from kennen_tf.metamodels.crafting import start_images
from kennen_tf.metamodels.crafting.descent import Descent, ask, round_to_bytes
from kennen_tf.metamodels.crafting.left_out_loss import LeftOutLoss
from kennen_tf.metamodels.crafting.losses import NamingLoss
from kennen_tf.metamodels.crafting.phases import Phase
from kennen_tf.metamodels.metrics import MetricsLog, score
from kennen_tf.queries.query_inputs import QueryInputs


class CraftedImages:
    """Images on their way, and who answers them.

    Attributes:
        labels: Of the training entries; for each attribute, `(entries,)`.
        combination_ids: Of the training entries.
        starts: Where the images begin.
        is_held_out: Which training entries the images do not descend through,
            `(entries,)`.
    """

    def __init__(self, run: CraftedRun):
        """Begins with the first images, or goes on from a checkpoint."""
        config = run.config
        self._run = run
        self._recipe = config.make_crafting_recipe()
        self.labels = run.info.labels(run.train_entries)
        self.combination_ids = [e.combination_id for e in run.train_entries]
        self._bank = run.open_bank()
        self.is_held_out = run.draw_held_out(self._recipe.held_out_share)
        self.starts = self._make_starts()
        self._descent = Descent(
            self._recipe,
            self._bank,
            run.train_entries,
            self.starts.pixels,
            config.seed,
            skip=self.is_held_out,
            # Of the starts, validation images alone have an index.
            keep=(self.starts.indices >= 0) & self._recipe.keeps_validation,
        )
        self._descent.restore(run.checkpoints / IMAGES_CHECKPOINT)

    @property
    def epoch(self) -> int:
        """How many epochs the images have behind them."""
        return self._descent.epoch

    def queries(self) -> QueryInputs:
        """Returns the images as they are sent."""
        descent = self._descent
        is_judged = self.is_held_out.any()
        images = round_to_bytes(descent.best_images if is_judged else descent.images)
        return dataclasses.replace(self.starts, images=images)

    def ask(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Returns what all training entries answer; see `descent.ask`."""
        return ask(self._bank, self._run.train_entries, images)

    def make_left_out_loss(self) -> LeftOutLoss:
        return LeftOutLoss(
            self._run.table, self.labels, self.combination_ids, self._recipe.ridge
        )

    def craft(self, phase: Phase, loss: NamingLoss, log: MetricsLog) -> None:
        """Descends on the images to the end of a phase.

        Args:
            phase: Of images; what of it is done is not done again.
            loss: What the images are to make small.
            log: For a row of metrics and the images, every few epochs.
        """
        config, descent = self._run.config, self._descent
        first = phase.image_epochs_before
        offset = phase.first_epoch - first
        if not log.rows and self._run.keeps_curves:
            self._evaluate(0, loss, log)
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
                error = descent.run_epoch(loss)
                log.add_epoch(offset + descent.epoch, {"images/loss": float(error)})
                self._judge()
                bar.set_postfix_str(f"loss {error:.4f}", refresh=False)
                bar.update()
                is_last = descent.epoch == phase.image_epochs
                done = descent.epoch - first
                is_due = is_last or done % config.image_epochs_between == 0
                if is_due and self._run.keeps_curves:
                    self._evaluate(offset + descent.epoch, loss, log)
                # After its epoch's row, so that no row is missing after it.
                if is_last or done % config.checkpoint_every == 0:
                    descent.save(self._run.checkpoints / IMAGES_CHECKPOINT)

    def _make_starts(self) -> QueryInputs:
        config, stored = self._run.config, self._run.stored_queries
        starts, places = self._recipe.starts, range(config.num_queries)
        kinds = [starts[place % len(starts)] for place in places]
        validation = stored.take([place % len(stored) for place in places])
        return start_images.make_starts(kinds, validation, config.seed_of_queries)

    def _judge(self) -> None:
        """Tells the descent how good the images are, for entries held out from it."""
        if self.is_held_out.any():
            outputs = self.ask(self._descent.images)
            error = self.make_left_out_loss().held_out_error(outputs, self.is_held_out)
            self._descent.judge(error)

    def _evaluate(self, epoch: int, loss: NamingLoss, log: MetricsLog) -> None:
        """Writes a row of metrics and draws the images."""
        pixels = self.queries().pixels
        train = self.ask(pixels)
        test = self._run.ask_test_entries(pixels)
        logits = loss.predict_logits(train, test.log_probabilities)
        log.add_scores(epoch, logits, (self.labels, test.labels))
        is_kept = (pixels == self.starts.pixels).all(axis=(1, 2, 3))
        captions = [
            f"{100 * after:.0f}%, kept"
            if kept
            else f"{100 * before:.0f}% to {100 * after:.0f}%"
            for before, after, kept in zip(
                self._scores_of_starts, self._score_images(train), is_kept, strict=True
            )
        ]
        self._run.show_images(
            log,
            epoch,
            pixels,
            self.starts.pixels,
            captions,
            "below: average accuracy of a reader of answers to this one image,\n"
            "to the start and to the crafted one; kept: it is still its start",
        )

    @functools.cached_property
    def _scores_of_starts(self) -> list[float]:
        return self._score_images(self.ask(self.starts.pixels))

    def _score_images(self, log_probabilities: npt.NDArray[np.float32]) -> list[float]:
        """Returns what each image tells alone.

        That is the average accuracy over attributes of a ridge regression that reads
        its outputs, on training entries that it was not fitted to.
        """
        loss = self.make_left_out_loss()
        scores = []
        for place in range(log_probabilities.shape[1]):
            own = log_probabilities[:, [place]]
            logits, _ = loss.predict_logits(own, own[:1])
            found = score(
                self._run.table, self.labels, logits, self._run.split_attributes
            )
            scores.append(found["average"] or 0.0)
        return scores
