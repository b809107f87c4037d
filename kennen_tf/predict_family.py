r"""Predicts the architecture family of ImageNet classifiers from their outputs.

    python -m kennen_tf.predict_family --classifiers=keras_applications \
        --images=DIR --num_queries=100 --output_dir=runs/family
    python -m kennen_tf.predict_family --classifiers=my/manifest.json \
        --images=tfds:imagenet_v2 --metamodel=all --output_dir=runs/family

Sends images to all classifiers, once, holds out one of each family, trains a metamodel
(kennen-o) on the outputs of the others, and has it name the families of those held out,
over folds and draws of queries, as in the paper's section 4. Prints accuracy with
intervals for each number of queries, and for each classifier. Classifiers that name the
images no better than chance are called out: then labels or pixels are likely wrong.

Writes runs/family/outputs, figures/curve.png, figures/confusion-*.png and, last,
results.json. Killed at any moment, the same command with --resume goes on. With
another --metamodel, --num_queries, --curve, --num_folds or --num_draws, --resume reads
the outputs that are there anew, and writes figures and results anew.

The outputs are those of a zoo with the one attribute "family", as query_zoo writes
them; metamodels of attributes can be trained on them, too:

    python -m kennen_tf.train_metamodel --query_dir=runs/family/outputs --recipe=svm \
        --split=leave-one-out:family
"""

from typing import TYPE_CHECKING

from flags import common
from kennen_tf.configs.family_prediction import FamilyPredictionConfig

if TYPE_CHECKING:
    from kennen_tf.imagenet.families.scoring import FamilyScore

SCHEMA_VERSION = 1

# What is done with the outputs; they take long, and do not depend on these.
_READING = ("metamodel", "num_queries", "curve", "num_folds", "num_draws")


def predict_family(config: FamilyPredictionConfig) -> None:
    """Predicts families of classifiers held out; prints tables, draws figures.

    Raises:
        UserError: If a classifier or the images cannot be had, they do not fit
            together, there is nobody to hold out, or `output_dir` holds another run.
    """
    from kennen_tf.evaluation import figures, printing
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()

    from kennen_tf.imagenet import run_folder
    from kennen_tf.imagenet.classifiers import registry
    from kennen_tf.imagenet.families import (
        family_reporting,
        plausibility,
        prediction,
        scoring,
    )
    from kennen_tf.images import image_set
    from pipelines import image_sets

    families = registry.open_registry(config.classifiers, config.weights_dir)
    # Before hours of outputs: whether there is anybody to hold out.
    prediction.make_folds(families, config.num_folds, config.seed)
    images = image_sets.load_image_set(
        config.images,
        image_size=config.image_size or max(c.image_size for c in families.classifiers),
        num_images=config.num_images,
        seed=config.seed,
    )
    for classifier in families.classifiers:
        image_set.check_labels(images, classifier.num_classes)
    prediction.draw_queries(len(images), config.num_queries, config.seed)
    made_from = {
        "images": images.fingerprint,
        "classifiers": {c.name: c.identity for c in families.classifiers},
    }
    with run_folder.open_run(
        "predict_family", config.to_json(), made_from, free_fields=_READING
    ) as folder:
        outputs, warnings = plausibility.collect(
            families.classifiers,
            images,
            folder / "outputs",
            config.batch_size,
        )
        guesses = prediction.guess_held_out(
            config.metamodels,
            outputs,
            families,
            [count for count in config.curve_counts if count <= len(images)],
            num_folds=config.num_folds,
            num_draws=config.num_draws,
            seed=config.seed,
        )
        names = list(families.families)
        scores = sorted(
            scoring.score_guesses(guesses, names, config.seed),
            key=lambda score: config.metamodels.index(score.metamodel),
        )
        title = (
            f"{len(families.classifiers)} classifiers in {len(names)} families, "
            f"{len(images)} images, seed {config.seed}"
        )
        printing.print_table(
            family_reporting.curve_table(scores, config.classifiers, title),
            [
                *warnings,
                *family_reporting.curve_notes(config.num_folds, config.num_draws),
            ],
        )
        figure_dir = artifacts.make_folder(folder / "figures")
        figures.save_png(
            family_reporting.curve_figure(scores, config.classifiers, title),
            figure_dir / "curve.png",
        )
        for path in figure_dir.glob("confusion-*.png"):
            path.unlink()  # Of metamodels that read the outputs before.
        for score in _at(scores, config.num_queries):
            figures.save_png(
                family_reporting.confusion_figure(score, names),
                figure_dir / f"confusion-{score.metamodel}.png",
            )
        [first, *_] = _at(scores, config.num_queries)
        printing.print_table(
            family_reporting.classifiers_table(first, families, outputs),
            family_reporting.classifiers_notes(first, families),
        )
        document = {
            "schema_version": SCHEMA_VERSION,
            "config": config.to_json(),
            "made_from": made_from,
            "families": {n: [c.name for c in o] for n, o in families.families.items()},
            "classifier_accuracy": {
                "top1": outputs.accuracy,
                "top5": outputs.top_5_accuracy,
            },
            "warnings": warnings,
            "scores": [score.to_json() for score in scores],
            "provenance": artifacts.provenance(),
        }
        artifacts.write_json(folder / run_folder.RESULTS_NAME, document)
        print(f"{folder}: figures in figures, numbers in results.json.")


def _at(scores: "list[FamilyScore]", num_queries: int) -> "list[FamilyScore]":
    """Returns the scores at one number of queries."""
    return [score for score in scores if score.num_queries == num_queries]


def main() -> None:
    """Runs `predict_family` with the flags of the command line."""
    common.run(predict_family, FamilyPredictionConfig)


if __name__ == "__main__":
    main()
