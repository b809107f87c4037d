r"""Predicts a black box's family from its outputs, and attacks it with that family.

    python -m kennen_tf.attack_black_box --black_box=target.keras \
        --classifiers=my/manifest.json --images=DIR --output_dir=runs/attack

Sends images to the black box, names its family with a metamodel trained on the
classifiers at hand (kennen-o), makes adversarial image perturbations (AIPs) on that
family's members, and sends these. A classifier that is the black box itself, the same
file, takes no part. Nothing of the black box is used but its answers.

Writes runs/attack/answers, aips/GENERATORS/IMAGE.png, figures/*.png and, last,
results.json. Killed at any moment, the same command with --resume goes on, and sends
nothing again that was answered; also with --compare or --every_family added or left
out, or with another --metamodel or --num_queries. If the black box or all classifiers
name the clean images no better than chance, that is called out before AIPs are made.
"""

import pathlib
from typing import TYPE_CHECKING, Any

from flags import common
from kennen_tf.configs.aips import AttackConfig
from kennen_tf.vocabulary.errors import UserError

# Which AIPs are made of the images; those that are there do not depend on these.
_CHOOSING = ("compare", "every_family", "metamodel", "num_queries")

if TYPE_CHECKING:
    from kennen_tf.black_boxes.black_box import BlackBox
    from kennen_tf.imagenet.classifiers.registry import Registry
    from kennen_tf.images.image_set import ImageSet


def attack_black_box(config: AttackConfig) -> None:
    """Predicts the family of a black box, attacks it, prints and draws what came of it.

    Raises:
        UserError: If the black box, the classifiers or the images cannot be had, they
            do not fit together, or `output_dir` holds another run.
    """
    from kennen_tf.machine import startup

    startup.import_tensorflow()

    from kennen_tf.black_boxes.forms import Form
    from kennen_tf.black_boxes.opening import open_black_box
    from kennen_tf.imagenet import run_folder
    from kennen_tf.imagenet.aips import attacked_box
    from kennen_tf.imagenet.classifiers import registry
    from kennen_tf.images import image_set
    from kennen_tf.keras_models import archives
    from pipelines import image_sets

    identity = attacked_box.identify(config.black_box)
    known = registry.open_registry(config.classifiers, config.weights_dir)
    # Saved a second time, it is another file.
    twin = archives.fingerprint(config.black_box)
    families = known.without([identity, twin])
    _check_families(config, known, families)
    num_classes = families.classifiers[0].num_classes
    form = Form(noun="images", shapes=((None, None, 3),), num_classes=num_classes)
    box = open_black_box(
        config.black_box, outputs_kind=config.outputs, pixels=config.pixels, form=form
    )
    images = image_sets.load_image_set(
        config.images,
        image_size=attacked_box.find_image_size(box, config.image_size, families),
        num_images=config.num_images,
        seed=config.seed,
    )
    image_set.check_labels(images, num_classes)
    made_from = {
        "black_box": identity,
        "images": images.fingerprint,
        "classifiers": {c.name: c.identity for c in families.classifiers},
    }
    with run_folder.open_run(
        "attack_black_box", config.to_json(), made_from, free_fields=_CHOOSING
    ) as folder:
        _attack(config, box, families, images, made_from, folder)


def _attack(
    config: AttackConfig,
    box: "BlackBox",
    families: "Registry",
    images: "ImageSet",
    made_from: dict[str, Any],
    folder: pathlib.Path,
) -> None:
    from kennen_tf.evaluation import printing
    from kennen_tf.imagenet import run_folder
    from kennen_tf.imagenet.aips import (
        aip_reporting,
        aip_run,
        attacked_box,
        box_answers,
        generator_sets,
        results,
        sheets,
    )
    from kennen_tf.imagenet.families import plausibility, prediction
    from kennen_tf.vocabulary import artifacts

    # First, so that a black box that does not fit is found out at once.
    answers = box_answers.BoxAnswers(box, folder / "answers")
    clean = answers.probabilities(images.pixels)
    warnings = plausibility.check_black_box(clean, images.labels)
    outputs, others = plausibility.collect(
        families.classifiers,
        images,
        folder / "outputs",
        config.batch_size,
    )
    warnings += others
    scores = prediction.predict(
        *(config.metamodel, outputs, families, clean, config.num_queries, config.seed)
    )
    predicted = max(scores, key=scores.__getitem__)
    pairings = attacked_box.pair(
        families,
        predicted,
        compare=config.compare,
        every_family=config.every_family,
        seed=config.seed,
    )
    sets = generator_sets.distinct_sets(pairings)
    run = aip_run.AipRun(config, folder, images)
    run.generate(sets)
    graded = run.grade(
        pairings,
        {pairings[0].target.name: clean},
        lambda _, pixels: answers.probabilities(pixels),
    )
    sizes = run.measure(sets)
    sheets.write_sheets(run, graded, config, folder / "figures")
    printing.print_table(
        aip_reporting.families_table(scores, "the black box"),
        [
            *warnings,
            f"The family predicted is {predicted}, for {config.black_box}.",
            *aip_reporting.families_notes(config, len(images)),
        ],
    )
    title = aip_reporting.describe_attack(config, run.budget, len(images))
    printing.print_table(
        aip_reporting.grades_table(graded, title),
        [
            *warnings,
            *aip_reporting.grades_notes(graded),
            *aip_reporting.sizes_notes(sizes),
            f"The black box answered {answers.num_images} images, {answers.num_sent} "
            "of them in this run.",
        ],
    )
    document = results.make_document(
        config, run.budget, graded, sizes, run.batch_sizes, made_from
    )
    document |= {
        "family_scores": scores,
        "predicted_family": predicted,
        "warnings": warnings,
        "num_images_answered": answers.num_images,
        # By which their AIPs are found again.
        "image_names": list(images.names),
    }
    artifacts.write_json(folder / run_folder.RESULTS_NAME, document)
    print(f"{folder}: images in aips, figures in figures, numbers in results.json.")


def _check_families(config: AttackConfig, known: "Registry", left: "Registry") -> None:
    """Says which classifier is the black box itself; checks that there are families."""
    from absl import logging

    left_out = " and ".join(
        c.name for c in known.classifiers if c not in left.classifiers
    )
    if left_out:
        logging.info("%s is the black box itself and takes no part.", left_out)
    if len(left.families) < 2:
        itself = f" without the black box itself, {left_out}" if left_out else ""
        raise UserError(
            "To name a family, classifiers of two families or more are needed. "
            f"Received: {config.classifiers}, with {list(left.families)}{itself}."
        )


def main() -> None:
    """Runs `attack_black_box` with the flags of the command line."""
    common.run(attack_black_box, AttackConfig)


if __name__ == "__main__":
    main()
