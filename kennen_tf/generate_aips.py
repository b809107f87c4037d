r"""Makes adversarial image perturbations (AIPs) and sends them to other classifiers.

    python -m kennen_tf.generate_aips --generators=resnet50,resnet101 \
        --targets=resnet152,vgg16 --images=DIR --epsilon=1000 --norm=l2 \
        --output_dir=runs/aips
    python -m kennen_tf.generate_aips --generators=families \
        --classifiers=my/manifest.json --images=DIR --output_dir=runs/transfer

Perturbs images so that the generators err, saves them as PNG files, and counts how
often the targets err on these: over all images, and over those that were classified
rightly before. With --generators=families, every family generates against every target,
within a family without the target, and the transfer matrix and the paper's four
scenarios are printed. For the third, families are predicted from --num_queries images,
drawn ten times from ten times as many (or 1,000 more), if --images has them; of these,
--num_images says nothing, only of the images that are perturbed. If classifiers name
the clean images no better than chance, that is called out before AIPs are made.

Writes runs/aips/aips/GENERATORS/IMAGE.png, figures/*.png and, last, results.json.
Killed at any moment, the same command with --resume goes on. With other --targets,
another --metamodel or --num_queries, it keeps the AIPs and makes only what is missing.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flags import common
from kennen_tf.configs.aips import FAMILIES, AipConfig

# What is done with AIPs; the AIPs themselves do not depend on these.
_READING = ("targets", "metamodel", "num_queries")

# Images to draw queries from, beyond one draw: all classifiers are asked about them.
_MOST_SPARE = 1000

if TYPE_CHECKING:
    from kennen_tf.imagenet.aips.generator_sets import Pairing
    from kennen_tf.imagenet.aips.transfer import Graded
    from kennen_tf.imagenet.classifiers.registry import Registry
    from kennen_tf.imagenet.families.family_outputs import FamilyOutputs
    from kennen_tf.images.image_set import ImageSet


def generate_aips(config: AipConfig) -> None:
    """Makes AIPs, grades them on their targets, prints tables and draws figures.

    Raises:
        UserError: If a classifier or the images cannot be had, they do not fit
            together, or `output_dir` holds another run.
    """
    from kennen_tf.evaluation import printing
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()

    from kennen_tf.imagenet import run_folder
    from kennen_tf.imagenet.aips import (
        aip_reporting,
        aip_run,
        generator_sets,
        results,
        sheets,
    )
    from kennen_tf.imagenet.classifiers import registry
    from kennen_tf.imagenet.families import family_outputs, plausibility
    from kennen_tf.images import image_set
    from pipelines import image_sets

    families = registry.open_registry(config.classifiers, config.weights_dir)
    pairings = _pair(config, families)
    sets = generator_sets.distinct_sets(pairings)
    generators = {c.name: c for s in sets for c in s.classifiers}
    targets = {p.target.name: p.target for p in pairings}
    is_matrix = config.generators == FAMILIES
    everybody = (
        families.classifiers if is_matrix else [*(generators | targets).values()]
    )
    images = image_sets.load_image_set(
        config.images,
        image_size=config.image_size or max(c.image_size for c in everybody),
        num_images=config.num_images,
        seed=config.seed,
    )
    query_images = _load_query_images(config, images) if is_matrix else images
    for classifier in everybody:
        image_set.check_labels(images, classifier.num_classes)
        image_set.check_labels(query_images, classifier.num_classes)
    identities = {c.name: c.identity for c in everybody}
    # What AIPs are made from; grades are kept with the identity of their target.
    kept = identities if is_matrix else {n: identities[n] for n in generators}
    with run_folder.open_run(
        "generate_aips",
        config.to_json(),
        {"images": images.fingerprint, "classifiers": kept},
        free_fields=_READING,
    ) as folder:
        outputs, warnings = plausibility.collect(
            everybody,
            images,
            folder / "outputs",
            config.batch_size,
        )
        run = aip_run.AipRun(config, folder, images)
        run.generate(sets)
        graded = run.grade(pairings, outputs.probabilities)
        sizes = run.measure(sets)
        document = results.make_document(
            config,
            run.budget,
            graded,
            sizes,
            run.batch_sizes,
            {"images": images.fingerprint, "classifiers": identities},
        )
        document["warnings"] = warnings
        sheets.write_sheets(run, graded, config, folder / "figures")
        title = aip_reporting.describe_attack(config, run.budget, len(images))
        if is_matrix:
            if query_images is not images:
                outputs = family_outputs.collect(
                    everybody,
                    query_images,
                    folder / "query_outputs",
                    config.batch_size,
                )
            document |= _report_transfer(
                config, families, outputs, graded, title, folder, warnings
            )
        else:
            printing.print_table(
                aip_reporting.grades_table(graded, title),
                [
                    *warnings,
                    *aip_reporting.grades_notes(graded),
                    *aip_reporting.sizes_notes(sizes),
                ],
            )
        artifacts.write_json(folder / run_folder.RESULTS_NAME, document)
        print(f"{folder}: images in aips, figures in figures, numbers in results.json.")


def _load_query_images(config: AipConfig, images: "ImageSet") -> "ImageSet":
    """Returns the images that queries are drawn from to predict families.

    AIPs take so long that they are made of few images. From these few, draws of queries
    would be much the same, so more are drawn, if there are more.
    """
    from kennen_tf.imagenet.families import prediction
    from pipelines import image_sets

    wanted = min(
        prediction.NUM_DRAWS * config.num_queries,
        config.num_queries + _MOST_SPARE,
    )
    if len(images) >= wanted:
        return images
    more = image_sets.load_image_set(
        config.images,
        image_size=images.image_size,
        num_images=wanted,
        seed=config.seed,
    )
    return more if len(more) > len(images) else images


def _pair(config: AipConfig, families: "Registry") -> "list[Pairing]":
    """Returns who generates against whom."""
    from kennen_tf.imagenet.aips import generator_sets

    wanted = families.select(config.target_names)
    if config.generators == FAMILIES:
        pairings = generator_sets.pair_all(families, config.seed)
        return [p for p in pairings if not wanted or p.target in wanted]
    generators = generator_sets.make_set(families.select(config.generator_names))
    targets = wanted or generators.classifiers
    return [
        generator_sets.Pairing(target, generators.name, generators)
        for target in targets
    ]


def _report_transfer(
    config: AipConfig,
    families: "Registry",
    outputs: "FamilyOutputs",
    graded: "Sequence[Graded]",
    title: str,
    folder: pathlib.Path,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Prints and draws the transfer matrix and the scenarios; returns both.

    Families are predicted from `outputs`, which may be for other images.
    """
    import dataclasses

    from kennen_tf.evaluation import figures, printing
    from kennen_tf.imagenet.aips import aip_figures, aip_reporting, transfer
    from kennen_tf.imagenet.families import prediction

    names = list(families.families)
    matrices = {
        "all images": transfer.transfer_matrix(graded, names, only_right_before=False),
        "images right before": transfer.transfer_matrix(
            graded, names, only_right_before=True
        ),
    }
    figure = aip_figures.transfer_figure(matrices, title)
    figures.save_png(figure, folder / "figures" / f"transfer-{config.norm}.png")
    for name, matrix in matrices.items():
        printing.print_table(
            aip_reporting.transfer_table(matrix, f"{title}\nmisclassified, {name} (%)"),
            [*warnings, *aip_reporting.transfer_notes(config.classifiers)],
        )
    targets = list(dict.fromkeys(one.pairing.target for one in graded))
    predicted = prediction.predict_left_out(
        config.metamodel, outputs, families, targets, config.num_queries, config.seed
    )
    scenarios = transfer.compare_scenarios(graded, names, predicted, config.seed)
    printing.print_table(
        aip_reporting.scenarios_table(scenarios, f"{title}\nscenarios"),
        aip_reporting.scenarios_notes(predicted, config, len(outputs.labels)),
    )
    return {
        "transfer": matrices,
        "scenarios": [dataclasses.asdict(scenario) for scenario in scenarios],
        "num_query_images": len(outputs.labels),
        "predicted_families": {
            classifier.name: list(named) for classifier, named in predicted.items()
        },
    }


def main() -> None:
    """Runs `generate_aips` with the flags of the command line."""
    common.run(generate_aips, AipConfig)


if __name__ == "__main__":
    main()
