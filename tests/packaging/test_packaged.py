"""The package that comes with the project: whole, small, and what its names name."""

import re

import pytest

from kennen_tf.configs.revealing import DEFAULT_METAMODEL
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.zoo.store import Zoo

MOST_BYTES = 16_000_000
# A path from a machine's root, which none that is within the package is.
ABSOLUTE = re.compile(r"(?<![\w.:/-])/\w+/")
PACKAGE = packages.find_package(packages.MNIST_NET)
assert PACKAGE is not None


@pytest.fixture(scope="module")
def parts():
    return {
        name: QueryOutputsInfo.open(name) for name in ("mnist_net", "mnist_net/crafted")
    }


def test_it_is_whole_and_of_one_zoo(parts):
    natural, crafted = parts.values()
    assert (natural.num_queries, crafted.num_queries) == (200, 100)
    assert natural.records == crafted.records
    assert natural.image_shape == crafted.image_shape == (28, 28, 1)
    zoo = Zoo.open(PACKAGE.zoo_dir)
    for own in parts.values():
        own.check_zoo(zoo)
    fingerprints = PACKAGE.description["fingerprints"]
    assert fingerprints == {
        "natural": natural.fingerprint,
        "crafted": crafted.fingerprint,
    }


def test_no_classifier_is_below_the_threshold(parts):
    threshold = PACKAGE.description["zoo"]["min_accuracy"]
    for own in parts.values():
        assert min(entry.accuracy for entry in own.entries) >= threshold


def test_it_is_small_and_says_nothing_of_the_machine():
    files = [path for path in PACKAGE.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    for path in files:
        if path.suffix in (".json", ".md"):
            assert not ABSOLUTE.search(path.read_text()), path
    for root in ("home", "tmp"):
        assert ABSOLUTE.search(f'"--zoo_dir=/{root}/me/zoo"')
        assert ABSOLUTE.search(f"made in /{root}/x")
    assert any("MNIST" in own for own in PACKAGE.description["licence"])


@pytest.mark.long
def test_all_its_metamodels_are_ready(tmp_path, monkeypatch):
    assert DEFAULT_METAMODEL == "mnist_net/kennen-s"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kinds = ready.list_kinds(PACKAGE)
    assert kinds == ["kennen-s", "kennen-io", "kennen-i", "labels", "ranking"]
    for kind in kinds:
        opened = ready.open_metamodel(f"mnist_net/{kind}")
        accuracies = opened.description["test_accuracy"].values()
        chance = sum(1 / len(own.values) for own in opened.table) / len(opened.table)
        # One label of one image tells least.
        least = 0.05 if kind == packages.KENNEN_I else 0.1
        assert sum(accuracies) / len(accuracies) > chance + least
