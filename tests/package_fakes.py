"""Packages made up for tests: of answers that betray all, and of a small zoo."""

import pathlib

import fakes

from kennen_tf.attributes import AttributeTable
from kennen_tf.configs.packaging import PackageConfig
from kennen_tf.packaging import making
from kennen_tf.queries.packages import Package
from kennen_tf.queries.query_outputs import QueryOutputsInfo

NUM_STORED, NUM_QUERIES = 24, 18


def make_package(
    folder: pathlib.Path,
    num_entries: int = 90,
    table: AttributeTable = fakes.TABLE,
    **settings: object,
) -> Package:
    """Makes query outputs in folder/q, and of them a package in folder/mine.

    Query i betrays the label of attribute i, modulo 12: enough of them are kept that a
    metamodel reads some attributes rightly.
    """
    if not (folder / "q").exists():
        fakes.write_query_outputs(
            folder / "q", num_entries, NUM_STORED, planted=True, table=table
        )
    config = make_config(folder, **settings)
    return making.make(config, QueryOutputsInfo.open(config.query_dir))


def make_config(folder: pathlib.Path, **settings: object) -> PackageConfig:
    return PackageConfig(
        **{
            "zoo_dir": "",
            "query_dir": str(folder / "q"),
            "package_dir": str(folder / "mine"),
            "num_queries": NUM_QUERIES,
            "num_crafted": 0,
            **settings,
        }
    )
