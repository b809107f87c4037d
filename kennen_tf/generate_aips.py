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
scenarios are printed.

Writes runs/aips/aips/GENERATORS/IMAGE.png, figures/*.png and, last, results.json.
Killed at any moment, the same command with --resume goes on.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flags import aips as aip_flags
from flags import common
from kennen_tf.configs.aips import FAMILIES, AipConfig

if TYPE_CHECKING:
    from kennen_tf.imagenet.classifier_outputs import ClassifierOutputs
    from kennen_tf.imagenet.generator_sets import Pairing
    from kennen_tf.imagenet.registry import Registry
    from kennen_tf.imagenet.transfer import Graded


def generate_aips(config: AipConfig) -> None:
    """Makes AIPs, grades them on their targets, prints tables and draws figures.

    Raises:
        UserError: If a classifier or the images cannot be had, they do not fit
            together, or `output_dir` holds another run.
    """
    from kennen_tf import artifacts, quiet, reporting

    quiet.import_tensorflow()

    from kennen_tf.imagenet import (
        aip_reporting,
        aip_run,
        aip_sheets,
        classifier_outputs,
        generator_sets,
        image_set,
        registry,
        run_folder,
    )
    from pipelines import image_sets

    families = registry.open_registry(config.classifiers, config.weights_dir)
    pairings = _pair(config, families)
    sets = generator_sets.distinct_sets(pairings)
    members = {m.name: m for s in sets for m in s.members}
    targets = {p.target.name: p.target for p in pairings}
    is_matrix = config.generators == FAMILIES
    # Metamodels that predict families read the outputs of all.
    asked = families.members if is_matrix else [*targets.values()]
    everybody = families.members if is_matrix else [*(members | targets).values()]
    images = image_sets.load_image_set(
        config.images,
        image_size=config.image_size or max(m.image_size for m in everybody),
        num_images=config.num_images,
        seed=config.seed,
    )
    for member in everybody:
        image_set.check_labels(images, member.num_classes)
    made_from = {
        "images": images.fingerprint,
        "classifiers": {m.name: m.identity for m in everybody},
    }
    with run_folder.open_run("generate_aips", config.to_json(), made_from) as folder:
        outputs = classifier_outputs.collect(
            asked, images, folder / "outputs", config.batch_size
        )
        run = aip_run.AipRun(config, folder, images)
        run.generate(sets)
        graded = run.grade(pairings, {name: outputs.read(name) for name in targets})
        sizes = run.measure(sets)
        document = aip_reporting.results_document(
            config, run.budget, graded, sizes, run.batch_sizes, made_from
        )
        aip_sheets.write_sheets(run, graded, config, folder / "figures")
        title = aip_reporting.describe_attack(config, run.budget, len(images))
        if is_matrix:
            document |= _report_transfer(
                config, families, outputs, graded, title, folder
            )
        else:
            reporting.print_table(
                aip_reporting.grades_table(graded, title),
                [
                    *aip_reporting.grades_notes(graded),
                    *aip_reporting.sizes_notes(sizes),
                ],
            )
        artifacts.write_json(folder / run_folder.RESULTS_NAME, document)
        print(f"{folder}: images in aips, figures in figures, numbers in results.json.")


def _pair(config: AipConfig, families: "Registry") -> "list[Pairing]":
    """Returns who generates against whom."""
    from kennen_tf.imagenet import generator_sets

    wanted = families.select(config.target_names)
    if config.generators == FAMILIES:
        pairings = generator_sets.pair_all(families, config.seed)
        return [p for p in pairings if not wanted or p.target in wanted]
    generators = generator_sets.make_set(families.select(config.generator_names))
    targets = wanted or generators.members
    return [
        generator_sets.Pairing(target, generators.name, generators)
        for target in targets
    ]


def _report_transfer(
    config: AipConfig,
    families: "Registry",
    outputs: "ClassifierOutputs",
    graded: "Sequence[Graded]",
    title: str,
    folder: pathlib.Path,
) -> dict[str, Any]:
    """Prints and draws the transfer matrix and the scenarios; returns both."""
    import dataclasses

    from kennen_tf import figures, reporting
    from kennen_tf.imagenet import (
        aip_figures,
        aip_reporting,
        family_prediction,
        transfer,
    )

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
        reporting.print_table(
            aip_reporting.transfer_table(matrix, f"{title}\nmisclassified, {name} (%)"),
            aip_reporting.transfer_notes(config.classifiers),
        )
    targets = list(dict.fromkeys(one.pairing.target for one in graded))
    predicted = family_prediction.predict_left_out(
        config.metamodel, outputs, families, targets, config.num_queries, config.seed
    )
    scenarios = transfer.compare_scenarios(graded, names, predicted, config.seed)
    reporting.print_table(
        aip_reporting.scenarios_table(scenarios, f"{title}\nscenarios"),
        aip_reporting.scenarios_notes(predicted, config, len(outputs.labels)),
    )
    return {
        "transfer": matrices,
        "scenarios": [dataclasses.asdict(scenario) for scenario in scenarios],
        "predicted_families": {
            member.name: list(named) for member, named in predicted.items()
        },
    }


if __name__ == "__main__":
    common.run(generate_aips, aip_flags.define)
