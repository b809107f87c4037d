"""Outputs of all classifiers on all images: computed once, kept as TFRecords.

outputs/resnet.resnet50.tfrecord   a record for each image (`output_records`)
outputs/resnet.resnet50.json       of which classifier and images; written last
"""

import gc
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tqdm
from absl import logging

from kennen_tf import artifacts
from kennen_tf.errors import UserError
from kennen_tf.imagenet import batches, grading, output_records
from kennen_tf.imagenet.image_set import ImageSet
from kennen_tf.imagenet.members import Member

_TOP_5 = 5


class ClassifierOutputs:
    """Logits of some classifiers for the same images, read from files when asked for.

    Attributes:
        names: Of the classifiers.
        labels: int32 `(num_images,)`, the true classes.
        accuracy: Share of images that each classifier names rightly, by its name.
        top_5_accuracy: The same for the five classes with the highest logits.
    """

    def __init__(
        self,
        members: Sequence[Member],
        labels: npt.NDArray[np.int32],
        folder: artifacts.Path,
    ):
        """Opens files that `collect` has written."""
        self._members = {member.name: member for member in members}
        self._folder = pathlib.Path(folder)
        self.names = tuple(self._members)
        self.labels = labels
        infos = {
            m.name: artifacts.read_json(
                _info_path(self._folder, m),
                wanted="classifier outputs",
                make_with="python -m kennen_tf.predict_family",
            )
            for m in members
        }
        self.accuracy = {name: float(info["accuracy"]) for name, info in infos.items()}
        self.top_5_accuracy = {
            name: float(info["top_5_accuracy"]) for name, info in infos.items()
        }

    def read(
        self, name: str, image_indices: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """Reads the logits of one classifier.

        Args:
            name: Its name.
            image_indices: Which images, in any order; None: all.

        Returns:
            float32 `(number of images, num_classes)`.
        """
        num_images = len(self.labels)
        indices = (
            np.arange(num_images)
            if image_indices is None
            else np.asarray(image_indices)
        )
        wanted, places = np.unique(indices, return_inverse=True)
        is_wanted = np.zeros(num_images, bool)
        is_wanted[wanted] = True
        member = self._members[name]
        logits = output_records.read_logits(
            _records_path(self._folder, member), is_wanted, member.num_classes
        )
        return logits[places]


def collect(
    members: Sequence[Member],
    images: ImageSet,
    folder: artifacts.Path,
    batch_size: int = 0,
) -> ClassifierOutputs:
    """Computes the outputs that `folder` does not hold yet, and opens all.

    One classifier after the other is opened, asked, written and dropped. Files that
    belong to another classifier of the same name, to other images, or that are damaged,
    are made again.

    Args:
        members: The classifiers.
        images: What they are asked about.
        folder: Made if need be.
        batch_size: Images at once; 0: `batches.choose_batch_size`.

    Raises:
        UserError: If a classifier cannot be opened, or gives NaN or infinity.
    """
    folder = artifacts.make_folder(folder)
    artifacts.remove_incomplete(folder)
    missing = [m for m in members if not _is_there(folder, m, images)]
    with tqdm.tqdm(
        *(None, "classifiers", len(missing) * len(images)),
        unit="image",
        disable=not missing,
    ) as bar:
        for member in missing:
            bar.set_postfix_str(member.name)
            _compute(folder, member, images, batch_size, bar)
            gc.collect()  # Keras models are cycles.
    return ClassifierOutputs(members, images.labels, folder)


def top_k_accuracy(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], k: int
) -> float:
    """Returns the share of images whose true class is among the `k` named first.

    Of equal logits, the lower class index is named first, as by `argmax`: a classifier
    that answers the same to everything is right for `k` classes only.
    """
    return float(np.mean(grading.rank_labels(logits, labels) < k))


def _compute(
    folder: pathlib.Path,
    member: Member,
    images: ImageSet,
    batch_size: int,
    bar: tqdm.tqdm,
) -> None:
    classifier = member.open()
    logits = batches.predict_logits(classifier, images.pixels, batch_size, bar.update)
    if not np.isfinite(logits).all():
        wrong = int((~np.isfinite(logits)).any(axis=1).sum())
        raise UserError(
            f"A classifier must give finite logits. Received: NaN or infinity from "
            f"{member.name} for {wrong} of {len(images)} images. Leave it out."
        )
    path = _records_path(folder, member)
    # First the old description goes: with these records, it would be wrong.
    _info_path(folder, member).unlink(missing_ok=True)
    output_records.write(path, images.names, images.labels, logits)
    info = {
        **_describe(member, images),
        "accuracy": top_k_accuracy(logits, images.labels, 1),
        "top_5_accuracy": top_k_accuracy(logits, images.labels, _TOP_5),
        "sha256": artifacts.sha256_of_file(path),
        "provenance": artifacts.provenance(),
    }
    artifacts.write_json(_info_path(folder, member), info)


def _is_there(folder: pathlib.Path, member: Member, images: ImageSet) -> bool:
    """Says whether a member's outputs are there, whole, and of these very images."""
    path, info_path = _records_path(folder, member), _info_path(folder, member)
    if not path.exists() or not info_path.exists():
        return False
    info = artifacts.read_json(
        info_path, wanted="description of outputs", make_with="predict_family"
    )
    wanted = _describe(member, images)
    differing = [key for key, value in wanted.items() if info.get(key) != value]
    if not differing and info.get("sha256") != artifacts.sha256_of_file(path):
        differing = ["sha256"]
    if differing:
        logging.warning(
            "%s is computed again: its %s is not that of this run.",
            *(path, " and ".join(differing)),
        )
    return not differing


def _describe(member: Member, images: ImageSet) -> dict[str, Any]:
    """Returns what outputs depend on."""
    return {
        "schema_version": output_records.SCHEMA_VERSION,
        "classifier": {
            "family": member.family,
            "name": member.name,
            "identity": member.identity,
            "num_classes": member.num_classes,
        },
        "images": images.fingerprint,
        "num_images": len(images),
    }


def _records_path(folder: pathlib.Path, member: Member) -> pathlib.Path:
    return folder / f"{_stem(member)}.tfrecord"


def _info_path(folder: pathlib.Path, member: Member) -> pathlib.Path:
    return folder / f"{_stem(member)}.json"


def _stem(member: Member) -> str:
    """Returns e.g. "resnet.resnet50"; the family's part ends at the first dot."""
    family, name = (
        urllib.parse.quote(s, safe=" ") for s in (member.family, member.name)
    )
    return f"{family.replace('.', '%2E')}.{name}"
