"""Trains small versions of the paper's five ImageNet families on the embedded digits.

    python -m kennen_tf.train_families --output_dir=runs/families

Two or three members of each of SqueezeNet, VGG, VGG-BN, ResNet and DenseNet, for RGB
images of 32 x 32 pixels, by the code that builds the full ones. What is written may be
given as --classifiers=runs/families/manifest.json. Stopped at any moment, the same
command with --resume trains only what is missing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from flags import common
from kennen_tf.configs.engines import LOCAL
from kennen_tf.configs.families import FamiliesConfig

if TYPE_CHECKING:
    from rich.table import Table

    from kennen_tf.imagenet.classifiers.family_training import Trained
    from kennen_tf.imagenet.classifiers.small_families import SmallClassifier

# Below it, a small classifier is no fair stand-in for its family.
_WANTED_ACCURACY = 0.95


def train_families(config: FamiliesConfig) -> None:
    """Trains the small families, or what of them is missing.

    Raises:
        UserError: If another process trains there, the folder holds anything else, or
            there are not as many digits.
    """
    from kennen_tf.evaluation import printing
    from kennen_tf.imagenet import run_folder
    from kennen_tf.imagenet.classifiers import family_training
    from kennen_tf.machine import startup

    startup.import_tensorflow()
    from kennen_tf.imagenet.classifiers import manifest, small_families

    binary = train_families.__name__
    # How many processes there are changes the time that it takes, not the result.
    with run_folder.open_run(
        binary, config.to_json(), {}, free_fields=("workers",)
    ) as folder:
        trained = family_training.read_trained(folder)
        missing = [c for c in small_families.CLASSIFIERS if c.name not in trained]
        if missing:
            trained |= _train(config, missing, len(trained))
        records = [
            trained[classifier.name] for classifier in small_families.CLASSIFIERS
        ]
        path = manifest.write_manifest(
            folder / manifest.MANIFEST_NAME,
            [
                {"name": r.name, "family": r.family, "file": f"{r.name}.keras"}
                for r in records
            ],
        )
    notes = ["Small versions, trained on digits: not the paper's classifiers."]
    weak = [r.name for r in records if r.accuracy < _WANTED_ACCURACY]
    if weak:
        notes.append(
            f"Below {100 * _WANTED_ACCURACY:.0f}%: {', '.join(weak)}. Train longer, "
            "with more --epochs or --num_train."
        )
    printing.print_table(_make_table(records), [*notes, f"Written: {path}"])


def _train(
    config: FamiliesConfig, missing: "Sequence[SmallClassifier]", num_done: int
) -> "Mapping[str, Trained]":
    """Trains classifiers under a bar; prints a line for each."""
    import tqdm

    from kennen_tf.imagenet.classifiers import family_training, small_families
    from kennen_tf.images import datasets
    from kennen_tf.machine.engines import making

    digits = small_families.prepare(
        datasets.load_images("mnist"), config.num_train, config.seed
    )
    trained = {}
    with (
        making.make_engine(
            **config.engine_settings(),
            num_workers=config.workers,
            # One thread each, if there is no core to spare: small nets do not fill two.
            threads=0 if config.engine == LOCAL else 1,
            again="give the same command again with --resume",
        ) as workers,
        tqdm.tqdm(
            total=num_done + len(missing),
            initial=num_done,
            desc="train_families",
            unit="classifier",
        ) as bar,
    ):
        for record in family_training.train_all(missing, digits, config, workers):
            trained[record.name] = record
            bar.write(
                f"{record.name}: validation accuracy {100 * record.accuracy:.1f}%, "
                f"{record.seconds:.0f} s"
            )
            bar.update()
    return trained


def _make_table(records: "list[Trained]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title="Small families", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("family")
    table.add_column("classifier", no_wrap=True)
    for column in ("parameters", "accuracy", "seconds"):
        table.add_column(column, justify="right")
    last = ""
    for record in records:
        if last and record.family != last:
            table.add_section()
        table.add_row(
            record.family if record.family != last else "",
            record.name,
            f"{record.num_params:,}",
            f"{100 * record.accuracy:.1f}",
            f"{record.seconds:.0f}",
        )
        last = record.family
    return table


def main() -> None:
    """Runs `train_families` with the flags of the command line."""
    common.run(train_families, FamiliesConfig)


if __name__ == "__main__":
    main()
