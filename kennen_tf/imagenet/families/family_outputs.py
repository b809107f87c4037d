"""What the classifiers of families answer: asked once, kept as query outputs of a zoo.

outputs/             query outputs (`query_outputs`) with the one attribute "family"
outputs-unfinished/  until all are asked: an .npy file for each that was
"""

import dataclasses
import functools
import gc
import pathlib
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tqdm
from absl import logging
from scipy import special

from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.configs.queries import FamilyQueryConfig
from kennen_tf.imagenet.attacks import grading
from kennen_tf.imagenet.classifiers import batches
from kennen_tf.imagenet.classifiers.family_classifier import FAMILY, FamilyClassifier
from kennen_tf.images.image_set import ImageSet
from kennen_tf.queries import output_folder, query_outputs, writing
from kennen_tf.queries.query_inputs import QueryInputs
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo.entries import QueriedEntry
from pipelines.query_outputs import load_arrays

_TOP_5 = 5

Probabilities = npt.NDArray[np.float32]
# Family and identity of each, by its name.
Classifiers = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FamilyOutputs:
    """Answers of some classifiers to the same images.

    Attributes:
        labels: int32 `(num_images,)`, the true classes.
        probabilities: Of each classifier, by its name, `(num_images, num_classes)`.
    """

    labels: npt.NDArray[np.int32]
    probabilities: Mapping[str, Probabilities]

    @functools.cached_property
    def accuracy(self) -> dict[str, float]:
        """Share of images that each classifier names rightly."""
        return self._top_k_accuracy(1)

    @functools.cached_property
    def top_5_accuracy(self) -> dict[str, float]:
        """The same for the five likeliest classes."""
        return self._top_k_accuracy(_TOP_5)

    def _top_k_accuracy(self, k: int) -> dict[str, float]:
        return {
            name: top_k_accuracy(answers, self.labels, k)
            for name, answers in self.probabilities.items()
        }


def top_k_accuracy(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int32], k: int
) -> float:
    """Returns the share of images whose true class is among the `k` named first.

    Of equal ones, the lower class index is named first, as by `argmax`: a classifier
    that answers the same to everything is right for `k` classes only.
    """
    return float(np.mean(grading.rank_labels(probabilities, labels) < k))


def make_table(families: Iterable[str]) -> AttributeTable:
    """Returns the table of a zoo whose one attribute is the family."""
    values = tuple(dict.fromkeys(families))
    return AttributeTable([Attribute(name=FAMILY, values=values, group="architecture")])


def collect(
    classifiers: Sequence[FamilyClassifier],
    images: ImageSet,
    folder: artifacts.Path,
    batch_size: int = 0,
    on_first: Callable[[FamilyOutputs], object] | None = None,
) -> FamilyOutputs:
    """Asks the classifiers whose answers `folder` does not hold yet, and keeps all.

    One classifier after the other is opened, asked, written and dropped. Answers of
    another classifier of the same name, to other images, or damaged, are not taken;
    those of classifiers that are not wanted now stay, for when they are again.

    Args:
        classifiers: Those to ask.
        images: What they are asked about.
        folder: Of the query outputs; made if need be.
        batch_size: Images at once; 0: `batches.choose_batch_size`.
        on_first: Called with the answers of the first classifier alone, before others
            are asked; not if all were asked before.

    Raises:
        UserError: If a classifier cannot be opened, or gives NaN or infinity.
    """
    folder = artifacts.make_folder(folder)
    _remove_earlier_form(folder)
    config = FamilyQueryConfig(
        query_dir=str(folder),
        images=images.fingerprint,
        classifiers={
            classifier.name: [classifier.family, classifier.identity]
            for classifier in classifiers
        },
    )
    unfinished = folder.with_name(f"{folder.name}-unfinished")
    stored, found = _read_kept(config)
    kept = {name: row for name, row in stored.items() if name in found}
    everybody = {**kept, **config.classifiers}
    if everybody != stored:
        artifacts.remove_incomplete(artifacts.make_folder(unfinished))
        # Named by all that their contents depend on.
        keys = {
            c.name: artifacts.fingerprint([c.identity, images.fingerprint])
            for c in classifiers
        }
        paths = {name: unfinished / f"{key}.npy" for name, key in keys.items()}
        missing = [
            c for c in classifiers if c.name not in found and not paths[c.name].exists()
        ]
        with tqdm.tqdm(
            *(None, "classifiers", len(missing) * len(images)),
            unit="image",
            disable=not missing,
        ) as bar:
            for place, classifier in enumerate(classifiers):
                name = classifier.name
                if classifier in missing:
                    bar.set_postfix_str(name)
                    with artifacts.atomic_path(paths[name]) as temporary:
                        answers = _ask(classifier, images, batch_size, bar.update)
                        np.save(temporary, answers)
                    gc.collect()  # Keras models are cycles.
                if name not in found:
                    found[name] = np.load(paths[name])
                if not place and on_first is not None:
                    only = {name: found[name]}
                    on_first(FamilyOutputs(labels=images.labels, probabilities=only))
        config = dataclasses.replace(config, classifiers=everybody)
        _write(config, images, found)
    shutil.rmtree(unfinished, ignore_errors=True)
    return FamilyOutputs(
        labels=images.labels,
        probabilities={
            classifier.name: found[classifier.name] for classifier in classifiers
        },
    )


def _read_kept(
    config: FamilyQueryConfig,
) -> tuple[Classifiers, dict[str, Probabilities]]:
    """Reads what query outputs hold of answers to these images.

    Returns:
        The classifiers whose answers they hold, and answers by the name of each, but
        for those that are another classifier by now.
    """
    folder = pathlib.Path(config.query_dir)
    if not output_folder.holds_query_outputs(folder):
        return {}, {}
    try:
        info = query_outputs.QueryOutputsInfo.open(folder)
    except UserError as error:
        logging.warning("Classifiers are asked again: %s", error)
        return {}, {}
    stored = info.config
    if not isinstance(stored, FamilyQueryConfig) or stored.images != config.images:
        logging.warning("%s holds answers to other images: asked again.", folder)
        return {}, {}
    wanted = {name: identity for name, (_, identity) in config.classifiers.items()}
    same = sorted(
        name
        for name, (_, identity) in stored.classifiers.items()
        if wanted.get(name, identity) == identity
    )
    if not same:
        return {}, {}
    # Probabilities as they are; all records are read once.
    answers, _ = load_arrays(info, same, range(info.num_queries), None)
    return dict(stored.classifiers), dict(zip(same, answers, strict=True))


def _ask(
    classifier: FamilyClassifier,
    images: ImageSet,
    batch_size: int,
    on_batch: Callable[[int], Any],
) -> Probabilities:
    logits = batches.predict_logits(
        classifier.open(), images.pixels, batch_size, on_batch
    )
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).any(axis=1).sum())
        raise UserError(
            f"A classifier must give finite logits. Received: NaN or infinity from "
            f"{classifier.name} for {wrong} of {len(images)} images. Leave it out."
        )
    return special.softmax(logits.astype(np.float64), axis=1).astype(np.float32)


def _write(
    config: FamilyQueryConfig,
    images: ImageSet,
    probabilities: Mapping[str, Probabilities],
) -> None:
    queries = QueryInputs(
        images=images.pixels,
        labels=images.labels.astype(np.int32),
        indices=np.arange(len(images), dtype=np.int32),
    )
    entries = [
        QueriedEntry(
            id=name,
            combination_id=name,
            members=(name,),
            accuracy=top_k_accuracy(probabilities[name], images.labels, 1),
            values={FAMILY: family},
        )
        for name, (family, _) in config.classifiers.items()
    ]
    [num_classes] = {answers.shape[1] for answers in probabilities.values()}
    with output_folder.work_folder(config.query_dir) as work:
        writing.write(
            work,
            config,
            queries,
            make_table(family for family, _ in config.classifiers.values()),
            num_classes,
            entries,
            lambda entry: probabilities[entry.id],
            artifacts.fingerprint([config.images, config.classifiers]),
        )


def _remove_earlier_form(folder: pathlib.Path) -> None:
    """Removes a .tfrecord and a .json for each classifier, as they once were kept."""
    earlier = sorted(folder.glob("*.tfrecord"))
    if earlier:
        logging.warning(
            "%s holds outputs in the form of an earlier version. They are removed, and "
            "the classifiers are asked again.",
            folder,
        )
    for path in earlier:
        path.unlink()
        path.with_suffix(".json").unlink(missing_ok=True)
