"""Makes query outputs of what classifiers answered, recorded by whatever means.

    python -m kennen_tf.import_outputs --outputs=answers.npz --attributes=models.csv

answers.npz holds `outputs`, (classifiers, queries, classes), and, if they are known,
`images` of bytes and `labels` of the queries, and `names` of the classifiers. The CSV
has a line for each classifier and a column for each attribute; an empty cell is
unknown. Writes to queries/ what query_zoo writes, so that train_metamodel and the
others work as ever. Without images, nobody can be sent the queries, but what a black
box answered to them can be read all the same.
"""

from flags import common
from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.vocabulary.errors import UserError


def import_outputs(config: ImportOutputsConfig) -> None:
    """Imports query outputs, or finds that they have been.

    Raises:
        UserError: If the outputs or the CSV are not as they should be or do not fit, or
            `query_dir` holds anything else.
    """
    from kennen_tf.machine import startup
    from kennen_tf.queries import output_folder, query_outputs, writing
    from kennen_tf.vocabulary import artifacts

    startup.import_tensorflow()

    from kennen_tf.imports import recorded_outputs

    is_there = output_folder.holds_query_outputs(config.query_dir)
    recorded = recorded_outputs.read(config)
    source = artifacts.fingerprint(
        [
            artifacts.sha256_of_file(config.outputs),
            artifacts.sha256_of_file(config.attributes),
            config.outputs_kind,
            config.num_shards,
        ]
    )
    if is_there and not config.overwrite:
        info = query_outputs.QueryOutputsInfo.open(config.query_dir)
        if info.zoo_fingerprint != source:
            raise UserError(
                f"{config.query_dir} holds query outputs of other files or settings. "
                f"Received: {config.outputs} and {config.attributes}. Choose another "
                "--query_dir, or replace them with --overwrite."
            )
        print(f"{config.query_dir}: up to date, {len(info.entries)} entries.")
        return
    with output_folder.work_folder(config.query_dir) as work:
        writing.write(
            work,
            config,
            recorded.queries,
            recorded.attributes,
            recorded.num_classes,
            recorded.entries,
            lambda entry: recorded.probabilities[entry.id],
            source,
        )
    print(
        f"{config.query_dir}: {len(recorded.entries)} entries, "
        f"{len(recorded.queries)} queries, {recorded.num_classes} classes"
        + ("." if recorded.queries.has_images else "; no images of the queries.")
    )


def main() -> None:
    """Runs `import_outputs` with the flags of the command line."""
    common.run(import_outputs, ImportOutputsConfig)


if __name__ == "__main__":
    main()
