"""Packages what a zoo's classifiers answer, small enough to be passed on.

    python -m kennen_tf.package_zoo --zoo_dir=zoo --query_dir=queries --package_dir=mine

Chooses the natural queries that tell most and crafts others, as kennen-s and kennen-io
do, on the training side of a split; sends the crafted ones to all classifiers; and
writes mine/: both answers in half precision, an exported kennen-i, and what is known of
each classifier. Then --query_dir=mine reads the natural ones, --query_dir=mine/crafted
the crafted ones, and --metamodel=mine/kennen-s (kennen-io, kennen-i, labels, ranking)
reveals black boxes. No classifier's file is in it. Killed at any moment, the same
command goes on.
"""

from flags import common
from kennen_tf.configs.packaging import PackageConfig


def package_zoo(config: PackageConfig) -> None:
    """Makes a package of a zoo, or finds that it has been.

    Raises:
        UserError: If there are no query outputs, the zoo is not theirs, there are fewer
            queries than wanted, or the folder holds something else.
    """
    from kennen_tf.machine import startup

    startup.import_tensorflow()

    from kennen_tf.packaging import making, precision
    from kennen_tf.queries.query_outputs import QueryOutputsInfo

    info = QueryOutputsInfo.open(config.query_dir)
    package = making.make(config, info)
    if config.measure_loss:
        precision.measure_and_note(package, info)
    counts = ", ".join(
        f"{n} {what}" for what, n in package.description["counts"].items()
    )
    num_bytes = sum(p.stat().st_size for p in package.folder.rglob("*") if p.is_file())
    print(f"{package.folder}: {counts}; {num_bytes / 1e6:.1f} MB.")


def main() -> None:
    """Runs `package_zoo` with the flags of the command line."""
    common.run(package_zoo, PackageConfig)


if __name__ == "__main__":
    main()
