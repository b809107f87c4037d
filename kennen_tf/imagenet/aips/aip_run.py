"""A run that makes AIPs and grades them, step by step in one folder.

aips/<generators>/<image>.png   perturbed images, as soon as each is done
batch_sizes.json                how many of a set were made at once: they depend on it
grades/<target>.json            what a target makes of them
"""

import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tqdm
from absl import logging

from kennen_tf.configs.aips import PerturbationConfig
from kennen_tf.imagenet.aips import aip_folder
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.aips.generator_pool import GeneratorPool
from kennen_tf.imagenet.aips.generator_sets import GeneratorSet, Pairing
from kennen_tf.imagenet.aips.transfer import Graded
from kennen_tf.imagenet.attacks import grading, methods
from kennen_tf.imagenet.attacks.ascent import Ascent
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.images.image_set import ImageSet
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

SCHEMA_VERSION = 1
_BATCH_SIZES_NAME = "batch_sizes.json"
_BINARY = "python -m kennen_tf.generate_aips"  # Or attack_black_box.

IntArray = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]
Ask = Callable[[FamilyClassifier, npt.NDArray[np.uint8]], Logits]


class AipRun:
    """Makes the AIPs of sets of generators on one set of images, and grades them.

    Attributes:
        images: The clean images.
        budget: What a perturbation may be at their size.
    """

    def __init__(
        self, config: PerturbationConfig, folder: pathlib.Path, images: ImageSet
    ):
        """Prepares a run in a folder, new or with some of the work done."""
        self.images = images
        self._config = config
        self._folder = folder
        image_size = images.pixels.shape[1]
        attack = methods.make_attack(config, image_size)
        self.budget = attack.budget
        self._ascent = Ascent(attack, config.num_steps)
        self._pool = GeneratorPool(attack, config.combination)

    def aips(self, generators: GeneratorSet) -> AipFolder:
        """Returns the folder of the AIPs of a set."""
        name = aip_folder.file_name(generators.name)
        return AipFolder(self._folder / "aips" / name, self.images)

    def generate(self, sets: Sequence[GeneratorSet]) -> None:
        """Makes the AIPs that are not there yet, of one set after the other.

        Raises:
            UserError: If some AIPs of a set were made in batches of another size.
        """
        count = len(self.images.names)
        # Those that share generators follow each other, so that these stay open.
        ordered = sorted(sets, key=lambda s: [c.name for c in s.classifiers])
        left = [s for s in ordered if self.aips(s).num_done < count]
        for generators in left:  # Before any is made.
            self._check_batch_size(generators)
        logging.info(
            "AIPs of %d images on %d sets of generators, %d of them done before.",
            *(count, len(sets), len(sets) - len(left)),
        )
        with tqdm.tqdm(
            total=count * self._config.num_steps * len(left),
            desc="AIPs",
            unit="gradient",
            unit_scale=True,
        ) as bar:
            for number, generators in enumerate(left, start=1):
                classifiers = generators.classifiers
                bar.set_postfix_str(f"{number}/{len(left)} {generators.name}"[:40])
                self.aips(generators).fill(
                    self._ascent,
                    functools.partial(self._pool.objective, classifiers),
                    self._choose_batch_size(generators),
                    self._config.seed,
                    bar.update,
                )

    @property
    def batch_sizes(self) -> dict[str, int]:
        """How many AIPs were made at once, by the name of their set."""
        path = self._folder / _BATCH_SIZES_NAME
        if not path.exists():
            return {}
        document = artifacts.read_json(path, wanted="batches", make_with=_BINARY)
        artifacts.check_schema(document, SCHEMA_VERSION, path)
        return document["batch_sizes"]

    def _begun_with(self, generators: GeneratorSet) -> int:
        """Returns the size of the batches of the AIPs that are there; 0 of none."""
        num_done = self.aips(generators).num_done
        return self.batch_sizes.get(generators.name, 0) if num_done else 0

    def _check_batch_size(self, generators: GeneratorSet) -> None:
        begun, wanted = self._begun_with(generators), self._config.batch_size
        if begun and wanted not in (0, begun):
            aips = self.aips(generators)
            raise UserError(
                f"--batch_size must stay {begun} for AIPs of which some are made, as "
                f"these depend on it: {aips.num_done} in {aips.path}. Received: "
                f"batch_size={wanted}. Leave it out, or remove that folder to make all "
                "of them in the other size."
            )

    def _choose_batch_size(self, generators: GeneratorSet) -> int:
        """Returns the size of all batches of a set, and keeps it for who goes on."""
        size = (
            self._begun_with(generators)
            or self._config.batch_size
            or self._pool.batch_size(generators.classifiers)
        )
        sizes = {**self.batch_sizes, generators.name: size}
        artifacts.write_json(
            self._folder / _BATCH_SIZES_NAME,
            {"schema_version": SCHEMA_VERSION, "batch_sizes": sizes},
        )
        return size

    def grade(
        self,
        pairings: Sequence[Pairing],
        clean_logits: Mapping[str, Logits],
        ask: Ask | None = None,
    ) -> list[Graded]:
        """Sends the stored AIPs to their targets.

        Args:
            pairings: Who generated against whom; their AIPs are there.
            clean_logits: Of each target's name, `(images, classes)`.
            ask: Sends images to a target; by default it is opened.

        Returns:
            One for each pairing, in their order.
        """
        by_target: dict[str, list[Pairing]] = {}
        for pairing in pairings:
            by_target.setdefault(pairing.target.name, []).append(pairing)
        found: dict[Pairing, Graded] = {}
        for name, own in tqdm.tqdm(
            by_target.items(), desc="grading", unit="target", leave=False
        ):
            clean = grading.rank_labels(clean_logits[name], self.images.labels)
            answers = self._answers(own, ask or self._ask_opened)
            for pairing in own:
                ranks, predicted = answers[pairing.generators.name]
                found[pairing] = Graded(pairing, clean, ranks, predicted)
        return [found[pairing] for pairing in pairings]

    def measure(
        self, sets: Sequence[GeneratorSet]
    ) -> dict[GeneratorSet, dict[str, npt.NDArray[np.float64]]]:
        """Returns the norms of the stored perturbations of each set."""
        return {
            generators: grading.measure(
                self.images.pixels, self.aips(generators).read()
            )
            for generators in sets
        }

    def _answers(
        self, pairings: Sequence[Pairing], ask: Ask
    ) -> dict[str, tuple[IntArray, IntArray]]:
        """Returns ranks and predictions of one target, by the generators' name."""
        target = pairings[0].target
        path = self._folder / "grades" / f"{aip_folder.file_name(target.name)}.json"
        answers = _read_grades(path, target)
        missing = {p.generators for p in pairings if p.generators.name not in answers}
        if not missing:
            return answers
        for generators in sorted(missing, key=lambda s: s.name):
            logits = ask(target, self.aips(generators).read())
            answers[generators.name] = (
                grading.rank_labels(logits, self.images.labels),
                logits.argmax(axis=1).astype(np.int32),
            )
        artifacts.make_folder(path.parent)
        artifacts.write_json(path, _grades_document(answers, target))
        return answers

    def _ask_opened(
        self, target: FamilyClassifier, pixels: npt.NDArray[np.uint8]
    ) -> Logits:
        [classifier] = self._pool.open([target])
        return batches.predict_logits(classifier, pixels, self._config.batch_size)


def _grades_document(
    answers: Mapping[str, tuple[IntArray, IntArray]], target: FamilyClassifier
) -> dict[str, Any]:
    grades = {
        name: {"ranks": ranks.tolist(), "predicted": predicted.tolist()}
        for name, (ranks, predicted) in answers.items()
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.identity,
        "grades": grades,
    }


def _read_grades(
    path: pathlib.Path, target: FamilyClassifier
) -> dict[str, tuple[IntArray, IntArray]]:
    """Returns the grades that are there, if they are of this very target."""
    if not path.exists():
        return {}
    document = artifacts.read_json(path, wanted="grades", make_with=_BINARY)
    artifacts.check_schema(document, SCHEMA_VERSION, path)
    if document.get("target") != target.identity:
        return {}
    return {
        name: (
            np.array(own["ranks"], np.int32),
            np.array(own["predicted"], np.int32),
        )
        for name, own in document["grades"].items()
    }
