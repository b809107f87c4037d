"""Makes a zoo of classifiers that are trained already, as a CSV lists them.

    python -m kennen_tf.import_zoo --classifiers=models.csv --images=images.npz

The CSV has a line for each classifier: `file`, whatever --black_box opens, and a column
for each attribute, e.g. `file,optimizer,depth`; an empty cell is unknown. Columns of
numbers with more than ten values become four bins. Classifiers of one `group`, e.g.
checkpoints of a run, are never on both sides of a split. Every classifier is asked
about some of the images before anything is written to zoo/; with more lines in the CSV,
the same command adds them. Then query_zoo, train_metamodel and the others work as ever.
"""

from typing import TYPE_CHECKING

from flags import common
from kennen_tf.configs.importing import ImportConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kennen_tf.zoo.store import ClassifierRecord


def import_zoo(config: ImportConfig) -> None:
    """Imports a zoo, or adds to one that was imported.

    Raises:
        UserError: If the CSV is not as it should be, images cannot be had, some
            classifiers cannot be opened, refuse the images or answer another number of
            classes, or the folder holds something else.
    """
    from absl import logging

    from kennen_tf.imports import import_folder, import_rows
    from kennen_tf.machine import startup
    from kennen_tf.vocabulary import artifacts

    zoo = import_folder.open_zoo(config)
    table, rows = import_rows.read(config.classifiers, zoo.attributes if zoo else None)
    new = rows if zoo is None else import_folder.find_new(zoo, rows)
    if zoo is not None and not new:
        print(f"{config.zoo_dir}: up to date, {len(zoo.records)} classifiers.")
        return
    startup.import_tensorflow()

    from kennen_tf.imports import import_images, importing
    from kennen_tf.zoo import store

    images = (
        import_images.load_import_images(
            *(config.images, config.image_size, config.num_images),
            lambda: importing.find_size(rows),
        )
        if zoo is None
        else import_folder.load_images(zoo)
    )
    logging.info(
        "Asking %d classifiers of %s about %s, %s of shape %s.",
        *(len(new), config.classifiers, config.images, len(images.labels)),
        images.image_shape,
    )
    records, num_classes = importing.ask_all(
        new,
        images,
        resize=config.resize,
        num_classes=0 if zoo is None else zoo.num_classes,
    )
    images.check_classes(num_classes, config.images)
    folder = artifacts.make_folder(config.zoo_dir)
    with artifacts.folder_lock(folder, "importing a zoo"):
        import_folder.check_unchanged(config, zoo)
        if zoo is not None:
            import_folder.add(zoo, config, records)
        else:
            header = store.ZooHeader(
                config=config,
                attributes=table,
                image_shape=images.image_shape,
                num_classes=num_classes,
            )
            import_folder.write(config, header, images, records)
    _print_summary(config, records, num_classes)


def _print_summary(
    config: ImportConfig, records: "Sequence[ClassifierRecord]", num_classes: int
) -> None:
    accuracies = sorted(record.accuracy for record in records)
    resized = sum(1 for record in records if record.image_size)
    print(
        f"{config.zoo_dir}: {len(records)} classifiers imported, of {num_classes} "
        f"classes, accuracy {accuracies[0]:.3f} to {accuracies[-1]:.3f}"
        + (f"; images are resized for {resized} of them." if resized else ".")
    )


def main() -> None:
    """Runs `import_zoo` with the flags of the command line."""
    common.run(import_zoo, ImportConfig)


if __name__ == "__main__":
    main()
