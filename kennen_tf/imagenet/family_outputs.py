"""What the classifiers of families answer: asked once, kept as query outputs of a zoo.

outputs/             query outputs (`query_outputs`) with the one attribute "family"
outputs-unfinished/  until all are asked: an .npy file for each that was
"""

import dataclasses
import functools
import gc
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tqdm
from absl import logging
from scipy import special

from kennen_tf import artifacts, query_outputs
from kennen_tf.attributes import Attribute, AttributeTable
from kennen_tf.configs.queries import FamilyQueryConfig
from kennen_tf.errors import UserError
from kennen_tf.imagenet import batches, grading
from kennen_tf.imagenet.image_set import ImageSet
from kennen_tf.imagenet.members import FAMILY, Member
from kennen_tf.query_inputs import QueryInputs
from kennen_tf.records import QueriedEntry

_TOP_5 = 5

Probabilities = npt.NDArray[np.float32]
# `pipelines.query_outputs.load_arrays`; libraries do not import pipelines.
LoadArrays = Callable[..., tuple[np.ndarray, Any]]


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


def make_table(members: Sequence[Member]) -> AttributeTable:
    """Returns the table of a zoo whose one attribute is the family."""
    values = tuple(dict.fromkeys(member.family for member in members))
    return AttributeTable([Attribute(name=FAMILY, values=values, group="architecture")])


def collect(
    members: Sequence[Member],
    images: ImageSet,
    folder: artifacts.Path,
    load_arrays: LoadArrays,
    batch_size: int = 0,
    on_first: Callable[[FamilyOutputs], object] | None = None,
) -> FamilyOutputs:
    """Asks the classifiers whose answers `folder` does not hold yet, and keeps all.

    One classifier after the other is opened, asked, written and dropped. Answers of
    another classifier of the same name, to other images, or damaged, are not taken.

    Args:
        members: The classifiers.
        images: What they are asked about.
        folder: Of the query outputs; made if need be.
        load_arrays: Reads query outputs.
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
            member.name: [member.family, member.identity] for member in members
        },
    )
    unfinished = folder.with_name(f"{folder.name}-unfinished")
    found, is_whole = _read_kept(config, load_arrays)
    if not is_whole:
        artifacts.remove_incomplete(artifacts.make_folder(unfinished))
        paths = {
            # Named by all that it depends on.
            m.name: unfinished
            / f"{artifacts.fingerprint([m.identity, config.images])}.npy"
            for m in members
        }
        missing = [
            m for m in members if m.name not in found and not paths[m.name].exists()
        ]
        total = len(missing) * len(images)
        with tqdm.tqdm(
            None, "classifiers", total, unit="image", disable=not total
        ) as bar:
            for place, member in enumerate(members):
                name = member.name
                if member in missing:
                    bar.set_postfix_str(name)
                    with artifacts.atomic_path(paths[name]) as temporary:
                        answers = _ask(member, images, batch_size, bar.update)
                        np.save(temporary, answers)
                    gc.collect()  # Keras models are cycles.
                if name not in found:
                    found[name] = np.load(paths[name])
                if not place and on_first is not None:
                    only = {name: found[name]}
                    on_first(FamilyOutputs(labels=images.labels, probabilities=only))
        _write(config, members, images, found)
    shutil.rmtree(unfinished, ignore_errors=True)
    return FamilyOutputs(
        labels=images.labels,
        probabilities={member.name: found[member.name] for member in members},
    )


def _read_kept(
    config: FamilyQueryConfig, load_arrays: LoadArrays
) -> tuple[dict[str, Probabilities], bool]:
    """Reads what query outputs hold of these classifiers' answers to these images.

    Returns:
        Answers by the name of each, and whether the query outputs hold just these.
    """
    folder = pathlib.Path(config.query_dir)
    if not (folder / query_outputs.CONFIG_NAME).exists():
        return {}, False
    try:
        info = query_outputs.QueryOutputsInfo.open(folder)
    except UserError as error:
        logging.warning("Classifiers are asked again: %s", error)
        return {}, False
    stored = info.config
    if not isinstance(stored, FamilyQueryConfig) or stored.images != config.images:
        logging.warning("%s holds answers to other images: asked again.", folder)
        return {}, False
    same = sorted(
        name
        for name, (_, identity) in config.classifiers.items()
        if name in stored.classifiers and stored.classifiers[name][1] == identity
    )
    if not same:
        return {}, False
    # Probabilities as they are; all records are read once.
    answers, _ = load_arrays(info, same, range(info.num_queries), None)
    is_whole = stored.classifiers == config.classifiers
    return dict(zip(same, answers, strict=True)), is_whole


def _ask(
    member: Member,
    images: ImageSet,
    batch_size: int,
    on_batch: Callable[[int], Any],
) -> Probabilities:
    logits = batches.predict_logits(member.open(), images.pixels, batch_size, on_batch)
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).any(axis=1).sum())
        raise UserError(
            f"A classifier must give finite logits. Received: NaN or infinity from "
            f"{member.name} for {wrong} of {len(images)} images. Leave it out."
        )
    return special.softmax(logits.astype(np.float64), axis=1).astype(np.float32)


def _write(
    config: FamilyQueryConfig,
    members: Sequence[Member],
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
            id=member.name,
            combination_id=member.combination_id,
            members=(member.name,),
            accuracy=top_k_accuracy(probabilities[member.name], images.labels, 1),
            values=member.values,
        )
        for member in members
    ]
    with query_outputs.work_folder(config.query_dir) as work:
        query_outputs.write(
            work,
            config,
            queries,
            make_table(members),
            members[0].num_classes,
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
