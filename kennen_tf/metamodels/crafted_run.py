"""What the trainings of kennen-i and kennen-io have in common: who and where.

Classifiers to train on are opened, for their gradients. Those to test on are asked as
black boxes, and only so that the curves can show it: nothing that they answer has an
influence on images or metamodel.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from kennen_tf.attributes import MISSING, AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.evaluation import figures, training_figures
from kennen_tf.evaluation.splits import Split
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.crafting.gradients import GradientBank
from kennen_tf.metamodels.metrics import MetricsLog, Side
from kennen_tf.metamodels.recipes import heads
from kennen_tf.metamodels.recipes.fitting import CompiledModels
from kennen_tf.queries import representations
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.seeds import derive_seed
from kennen_tf.zoo import asking
from kennen_tf.zoo.entries import QueriedEntry
from kennen_tf.zoo.store import Zoo

IMAGES_CHECKPOINT = "images.npz"
CONTACT_SHEET, CURVES = "crafted.png", "curves.png"

Pixels = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class LabeledAnswers:
    """What entries answered, and what they are.

    Attributes:
        probabilities: float32 `(entries, n, classes)`.
        labels: Of the entries; for each attribute, `(entries,)`.
    """

    probabilities: npt.NDArray[np.float32]
    labels: heads.Labels

    @property
    def log_probabilities(self) -> npt.NDArray[np.float32]:
        return np.log(np.maximum(self.probabilities, representations.PROBABILITY_FLOOR))


@dataclasses.dataclass(frozen=True)
class CraftedRun:
    """A training that crafts its queries.

    Attributes:
        config: Settings.
        info: The query outputs.
        zoo: The zoo that was queried.
        strategy: Under which to train; its devices share the classifiers, too.
        train_entries, test_entries: Sorted by id.
        split_attributes: What has no accuracy; see `Split`.
        stored_queries: Validation images to begin with, all that are stored: first
            those that the metamodel is to begin with, then the others in the seed's
            order.
        keeps_curves: Whether curves, figures and limits of kennen-io are wanted.
        compiled: Models of earlier trainings, to be trained again.
    """

    config: MetamodelConfig
    info: QueryOutputsInfo
    zoo: Zoo
    strategy: tf.distribute.Strategy
    train_entries: tuple[QueriedEntry, ...]
    test_entries: tuple[QueriedEntry, ...]
    split_attributes: tuple[str, ...]
    stored_queries: QueryInputs
    keeps_curves: bool = True
    compiled: CompiledModels | None = None

    @classmethod
    def open(
        cls,
        config: MetamodelConfig,
        info: QueryOutputsInfo,
        split: Split,
        query_indices: Sequence[int],
        strategy: tf.distribute.Strategy,
        *,
        keeps_curves: bool = True,
        compiled: CompiledModels | None = None,
    ) -> "CraftedRun":
        """Opens the zoo.

        Args:
            config: Settings.
            info: The query outputs.
            split: Who is trained on.
            query_indices: The stored queries to begin with; kennen-i goes on to others.
            strategy: Under which to train.
            keeps_curves: Whether curves, figures and limits of kennen-io are wanted.
            compiled: Models of earlier trainings, to be trained again.

        Raises:
            UserError: If there is none, or it is not the one that was queried.
        """
        zoo = Zoo.open(config.zoo_dir)
        info.check_zoo(zoo)
        zoo.check_has_classifiers(config.method)
        drawn = folder_lib.draw_queries(info, info.num_queries, config.seed_of_queries)
        others = [place for place in drawn if place not in query_indices]
        by_id = {entry.id: entry for entry in info.entries}
        return cls(
            config=config,
            info=info,
            zoo=zoo,
            strategy=strategy,
            train_entries=tuple(by_id[i] for i in split.train_ids),
            test_entries=tuple(by_id[i] for i in split.test_ids),
            split_attributes=split.split_attributes,
            stored_queries=info.query_inputs.take([*query_indices, *others]),
            keeps_curves=keeps_curves,
            compiled=compiled,
        )

    @property
    def table(self) -> AttributeTable:
        """The attributes of the zoo."""
        return self.info.attributes

    @property
    def folder(self) -> pathlib.Path:
        return pathlib.Path(self.config.metamodel_dir)

    @property
    def checkpoints(self) -> pathlib.Path:
        return self.folder / folder_lib.CHECKPOINTS_NAME

    def open_bank(self) -> GradientBank:
        """Opens the classifiers to train on, and no others."""
        return GradientBank(
            self.zoo,
            asking.find_records(self.zoo, self.train_entries),
            devices=self.strategy.extended.worker_devices,
            max_memory_mb=self.config.max_memory_mb,
        )

    def draw_held_out(self, share: float) -> npt.NDArray[np.bool_]:
        """Says which training entries images do not descend through, `(entries,)`.

        Args:
            share: Of the combinations.
        """
        ids = [entry.combination_id for entry in self.train_entries]
        combinations = sorted(set(ids))
        seed = derive_seed(self.config.seed, "held out from the images")
        count = round(share * len(combinations))
        drawn = np.random.default_rng(seed).permutation(combinations)[:count]
        return np.isin(ids, drawn)

    def represent(self, answers: LabeledAnswers, representation: str) -> Side:
        """Returns answers as a metamodel reads them."""
        features = representations.represent(
            answers.probabilities, representation, self.config.top_k
        )
        return Side(features.numpy(), answers.labels)

    def ask_test_entries(self, pixels: Pixels) -> LabeledAnswers:
        """Sends images to the entries to test on, as black boxes."""
        probabilities = asking.ask(self.zoo, self.test_entries, pixels)
        return LabeledAnswers(probabilities, self.info.labels(self.test_entries))

    def open_log(self, last_epoch: int) -> MetricsLog:
        """Opens the log; what it has of later epochs is forgotten."""
        return MetricsLog(
            self.folder,
            self.table,
            self.config,
            self.split_attributes,
            last_epoch,
            len(self.train_entries),
        )

    def show_images(
        self,
        log: MetricsLog,
        epoch: int,
        images: Pixels,
        starts: Pixels,
        captions: Sequence[str],
        meaning: str,
    ) -> None:
        """Draws images beside where they began: a PNG file and TensorBoard.

        Args:
            log: For TensorBoard.
            epoch: When.
            images, starts: float32 `(n, height, width, channels)` in [0, 1].
            captions: One for each image.
            meaning: What they say.
        """
        title = f"{self._title}, after epoch {epoch}"
        sheet = training_figures.contact_sheet(images, starts, captions, title, meaning)
        figures.save_png(sheet, self._figures_folder() / CONTACT_SHEET)
        log.add_image("crafted queries", epoch, figures.png_bytes(sheet))

    def show_curves(
        self, log: MetricsLog, phases: Sequence[tuple[str, int, int]]
    ) -> None:
        """Draws losses and accuracies over the epochs.

        Args:
            log: What to draw.
            phases: Name, first and last epoch of each.
        """
        names = set(self.config.named(self.table).names) - set(self.split_attributes)
        labels = self.info.labels(self.test_entries)
        values = [set(labels[n].tolist()) - {MISSING} for n in sorted(names)]
        chances = [1 / len(found) for found in values if len(found) > 1]
        chance = float(np.mean(chances)) if chances else None
        figure = training_figures.curves_figure(log.rows, phases, chance, self._title)
        figures.save_png(figure, self._figures_folder() / CURVES)

    @property
    def _title(self) -> str:
        return f"{self.config.method}, seed {self.config.seed}"

    def _figures_folder(self) -> pathlib.Path:
        return artifacts.make_folder(self.folder / "figures")
