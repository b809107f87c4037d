r"""Runs the paper's experiments on a zoo, and prints ours beside the paper's.

    python -m kennen_tf.reproduce --experiment=table2 --zoo_dir=zoo \
        --query_dir=queries --report_dir=report
    python -m kennen_tf.reproduce --experiment=all --zoo_dir=zoo \
        --query_dir=queries --report_dir=report

Writes report/NAME/result.json with every number and how it came about, and the figures
beside it; report/index.html and report/README.md have a section for every experiment
that was run so far. Each metamodel is a run in report/runs, and is trained once,
whichever experiments use it. Killed at any moment, the same command goes on; with
larger numbers, it adds what is missing.

With --engine=ray, workers train the runs, and this process alone writes. Those of
kennen-i and kennen-io, which read the zoo's files, it trains itself, after the others.
"""

from flags import common
from kennen_tf.configs.reproduction import ReproductionConfig


def reproduce(config: ReproductionConfig) -> None:
    """Runs experiments and writes their report.

    Raises:
        UserError: If the zoo or its query outputs are missing or do not belong
            together.
    """
    from kennen_tf.machine import startup

    startup.import_tensorflow()

    from kennen_tf.experiments import catalog

    paths = catalog.run(config)
    for path in paths:
        print(path)


def main() -> None:
    """Runs `reproduce` with the flags of the command line."""
    common.run(reproduce, ReproductionConfig)


if __name__ == "__main__":
    main()
