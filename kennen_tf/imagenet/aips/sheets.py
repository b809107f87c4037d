"""Sheets of perturbed images: which pairings and which images they show."""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np

from kennen_tf.configs.aips import PerturbationConfig
from kennen_tf.evaluation import figures
from kennen_tf.imagenet.aips import aip_figures, aip_folder, aip_reporting
from kennen_tf.imagenet.aips.aip_run import AipRun
from kennen_tf.imagenet.aips.generator_sets import ITSELF, ONE_OF_EACH
from kennen_tf.imagenet.aips.transfer import Graded
from kennen_tf.vocabulary import artifacts

_NUM_IMAGES = 5


def write_sheets(
    run: AipRun,
    graded: Sequence[Graded],
    config: PerturbationConfig,
    folder: pathlib.Path,
) -> list[pathlib.Path]:
    """Draws a sheet for each set of generators and each family that it is sent to.

    Of families that are all sent to each other, only those sent to their own are shown.
    Of the targets that stand for a family, the first is shown, and of the images the
    first that it classified rightly before.

    Returns:
        The paths written, e.g. figures/sheet-l2-resnet-on-vgg16.png.
    """
    artifacts.make_folder(folder)
    paths = []
    for one in _choose(graded):
        target, generators = one.pairing.target, one.pairing.generators
        places = _places(one)
        aips = run.aips(generators)
        classes = run.images.labels[places]
        captions = [
            (
                f"class {label}" + ("" if clean == 0 else " (named wrongly)"),
                "perturbation",
                f"named {named}" + (" (as before)" if named == label else ""),
            )
            for label, clean, named in zip(
                classes, one.clean_ranks[places], one.predicted[places], strict=True
            )
        ]
        attack = aip_reporting.describe_attack(config, run.budget, len(run.images))
        figure = aip_figures.sheet(
            run.images.pixels[places],
            np.stack([aips.read_image(place) for place in places]),
            captions,
            f"generated on {one.pairing.generated_on}, sent to {target.name}\n{attack}",
        )
        name = f"sheet-{config.norm}-{one.pairing.generated_on}-on-{target.name}.png"
        paths.append(folder / aip_folder.file_name(name).replace(" ", "-"))
        figures.save_png(figure, paths[-1])
    for path in {*folder.glob("sheet-*.png")} - {*paths}:
        path.unlink()  # Of pairings that another call wanted.
    return paths


def _choose(graded: Sequence[Graded]) -> Iterable[Graded]:
    """Returns the first pairing of each kind; of families, those against their own."""
    is_matrix = any(one.pairing.generated_on == ITSELF for one in graded)
    chosen: dict[tuple[str, str], Graded] = {}
    for one in graded:
        made_on, family = one.pairing.generated_on, one.pairing.target.family
        if made_on in (ITSELF, ONE_OF_EACH):
            continue
        if made_on == family or not is_matrix:
            chosen.setdefault((made_on, family), one)
    return chosen.values()


def _places(one: Graded) -> list[int]:
    """Returns places of images, those classified rightly before first."""
    order = np.argsort(one.clean_ranks > 0, kind="stable")
    return [int(place) for place in order[:_NUM_IMAGES]]
