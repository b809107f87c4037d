"""Finished runs of `attack_black_box`, read again: who answered what to which images.

An audit asks nobody: the answers of the black box and of the classifiers at hand, to
clean images and to AIPs, are all in the run's folder.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from kennen_tf.configs.queries import FamilyQueryConfig
from kennen_tf.imagenet import run_folder
from kennen_tf.imagenet.aips import aip_folder, box_answers, generator_sets, results
from kennen_tf.imagenet.aips.aip_folder import AipFolder
from kennen_tf.imagenet.aips.generator_sets import ONE_OF_EACH, GeneratorSet
from kennen_tf.imagenet.classifiers.family_classifier import FamilyClassifier
from kennen_tf.imagenet.classifiers.registry import Registry
from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
from kennen_tf.images.image_set import ImageSet
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from pipelines.query_outputs import load_arrays

KIND = "attack_black_box"
_MAKE_WITH = (
    "python -m kennen_tf.attack_black_box --compare --every_family --output_dir=..."
)

Probabilities = npt.NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AttackAnswers:
    """What a run asked, and what it was answered.

    Attributes:
        folder: The run's.
        config: Its settings, as plain values.
        fingerprints: What else decided it: black box, images, classifiers.
        predicted_family: The family that the run named, from one draw of queries.
        families: The classifiers at hand; none can be opened.
        outputs: What they answered to the clean images.
        clean: What the black box answered to these, `(images, classes)`.
        perturbed: The same of the AIPs of each set that all are there of, by what made
            them: a family, or `generator_sets.ONE_OF_EACH`.
        generators: Names of the classifiers of each of these sets.
    """

    folder: pathlib.Path
    config: Mapping[str, Any]
    fingerprints: Mapping[str, Any]
    predicted_family: str
    families: Registry
    outputs: FamilyOutputs
    clean: Probabilities
    perturbed: Mapping[str, Probabilities]
    generators: Mapping[str, tuple[str, ...]]

    @property
    def labels(self) -> npt.NDArray[np.int32]:
        """The true classes of the clean images, `(images,)`."""
        return self.outputs.labels

    @property
    def num_classes(self) -> int:
        return self.clean.shape[1]


def open_answers(attack_dir: artifacts.Path) -> AttackAnswers:
    """Opens a finished run of `attack_black_box --compare`.

    Args:
        attack_dir: Its --output_dir. Nothing is written to it.

    Raises:
        UserError: If it is no such run's, not finished, made without --compare or by a
            version that did not keep what is needed, or damaged.
    """
    folder = pathlib.Path(attack_dir)
    document = _read_results(folder)
    info = QueryOutputsInfo.open(folder / "outputs")
    families = _find_families(info, document["made_from"]["classifiers"])
    images = ImageSet(
        names=tuple(document["image_names"]),
        labels=info.query_inputs.labels,
        pixels=info.query_inputs.images,
        fingerprint=document["made_from"]["images"],
    )
    names = sorted(c.name for c in families.classifiers)
    # Sorted by name, as entries are.
    answers, _ = load_arrays(info, names, range(info.num_queries), None)
    kept = box_answers.read_answers(folder / "answers")
    clean = _find_clean(kept, images, folder)
    sets = _list_sets(document, families)
    perturbed = {
        made_on: _find_perturbed(kept, images, folder, generators)
        for made_on, generators in sets.items()
    }
    there = {name: rows for name, rows in perturbed.items() if rows is not None}
    _check_sets(there, document, folder)
    return AttackAnswers(
        folder=folder,
        config=document["config"],
        fingerprints=document["made_from"],
        predicted_family=document["predicted_family"],
        families=families,
        outputs=FamilyOutputs(
            labels=images.labels, probabilities=dict(zip(names, answers, strict=True))
        ),
        clean=clean,
        perturbed=there,
        generators={
            made_on: tuple(c.name for c in sets[made_on].classifiers)
            for made_on in there
        },
    )


def _read_results(folder: pathlib.Path) -> dict[str, Any]:
    """Returns what results.json holds, if there is all that an audit needs."""
    path = folder / run_folder.CONFIG_NAME
    config = artifacts.read_json(path, wanted="attack", make_with=_MAKE_WITH)
    kind = config.get("kind") if isinstance(config, dict) else None
    if kind != KIND:
        raise UserError(
            f"--attack_dir must be a folder of {KIND}. Received: {folder}, of "
            f"{kind or 'something else'}. Make one with `{_MAKE_WITH}`."
        )
    artifacts.check_schema(config, run_folder.SCHEMA_VERSION, path)
    path = folder / run_folder.RESULTS_NAME
    if not path.exists():
        raise UserError(
            f"--attack_dir must hold a finished attack. Received: {folder}, which has "
            f"no {path.name}. Run the same command with --resume to its end."
        )
    document = artifacts.read_json(path, wanted="results", make_with=_MAKE_WITH)
    artifacts.check_schema(document, results.SCHEMA_VERSION, path)
    if not document["config"].get("compare"):
        raise UserError(
            "An attack must be compared with one that does not know the family. "
            f"Received: {folder}, made without --compare. Run the same command with "
            "--compare --every_family --resume: what is there is kept."
        )
    if "image_names" not in document:
        raise UserError(
            f"{path} must name the images. Received: one of an earlier version, which "
            "did not. Run the same command with --resume: all that is there is kept, "
            "and nothing is sent again."
        )
    return document


def _find_families(info: QueryOutputsInfo, wanted: Mapping[str, str]) -> Registry:
    """Returns the classifiers that took part, as who cannot be opened."""
    config = info.config
    stored = config.classifiers if isinstance(config, FamilyQueryConfig) else {}
    families: dict[str, list[FamilyClassifier]] = {}
    for name, identity in wanted.items():
        family, asked = stored.get(name, ("", ""))
        if asked != identity:
            raise UserError(
                f"{info.query_dir} must hold answers of {name}, who took part in the "
                "attack. Received: none of this very classifier. Run the attack's "
                "command again with --resume."
            )
        families.setdefault(family, []).append(
            FamilyClassifier(
                family=family,
                name=name,
                image_size=0,
                num_classes=info.num_classes,
                identity=identity,
                opener=_refuse,
            )
        )
    return Registry({family: tuple(own) for family, own in families.items()})


def _refuse() -> Any:
    raise RuntimeError("Whoever is read of in a folder is never opened.")


def _find_clean(
    kept: Mapping[str, Probabilities], images: ImageSet, folder: pathlib.Path
) -> Probabilities:
    names = [box_answers.name_image(pixels) for pixels in images.pixels]
    missing = sum(name not in kept for name in names)
    if missing:
        raise UserError(
            f"{folder / 'answers'} must hold the black box's answers to all "
            f"{len(images)} clean images. Received: none to {missing} of them. Run the "
            "attack's command again with --resume."
        )
    return np.stack([kept[name] for name in names])


def _list_sets(
    document: Mapping[str, Any], families: Registry
) -> dict[str, GeneratorSet]:
    """Returns who may have made AIPs: whole families, and one of each."""
    # In earlier calls, another family may have been named.
    sets = {
        family: generator_sets.make_set(own)
        for family, own in families.families.items()
    }
    [each] = (
        pairing["generators"]
        for pairing in document["pairings"]
        if pairing["generated_on"] == ONE_OF_EACH
    )
    [members] = (
        own["members"] for own in document["generators"] if own["name"] == each
    )
    return sets | {ONE_OF_EACH: generator_sets.make_set(families.select(members))}


def _find_perturbed(
    kept: Mapping[str, Probabilities],
    images: ImageSet,
    folder: pathlib.Path,
    generators: GeneratorSet,
) -> Probabilities | None:
    """Returns the answers to a set's AIPs; None if not all were made and sent."""
    name = aip_folder.file_name(generators.name)
    aips = AipFolder(folder / "aips" / name, images)
    if aips.num_done < len(images):
        return None
    # One after the other, as they are not needed beside their names.
    names = map(box_answers.name_image, map(aips.read_image, range(len(images))))
    found = list(map(kept.get, names))
    answers = [answer for answer in found if answer is not None]
    return np.stack(answers) if len(answers) == len(images) else None


def _check_sets(
    there: Mapping[str, Probabilities],
    document: Mapping[str, Any],
    folder: pathlib.Path,
) -> None:
    """Checks that what the run sent is still what it has."""
    sent = [pairing["generated_on"] for pairing in document["pairings"]]
    lost = [made_on for made_on in sent if made_on not in there]
    if lost:
        raise UserError(
            f"{folder} must hold the AIPs it speaks of, and the answers to them. "
            f"Received: not all of those made on {', '.join(lost)}. Run the attack's "
            "command again with --resume."
        )
