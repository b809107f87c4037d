"""The packages that come with the project: whole, small, and what their names name."""

import re

import pytest

from kennen_tf.configs.revealing import DEFAULT_METAMODEL
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.zoo.store import Zoo

MOST_BYTES = {"mnist_net": 16_000_000, "wild_net": 6_000_000}
KINDS = {
    "mnist_net": ["kennen-s", "kennen-io", "kennen-i", "labels", "ranking"],
    "wild_net": ["kennen-s", "kennen-io", "labels", "ranking"],
}
# A path from a machine's root, which none that is within the package is.
ABSOLUTE = re.compile(r"(?<![\w.:/-])/\w+/")


@pytest.fixture(scope="module", params=list(packages.SHIPPED))
def package(request):
    found = packages.find_package(request.param)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def parts(package):
    names = (package.name, f"{package.name}/crafted")
    return {name: QueryOutputsInfo.open(name) for name in names}


def test_it_is_whole_and_of_one_zoo(package, parts):
    natural, crafted = parts.values()
    assert (natural.num_queries, crafted.num_queries) == (200, 100)
    assert natural.records == crafted.records
    assert natural.image_shape == crafted.image_shape == (28, 28, 1)
    zoo = Zoo.open(package.zoo_dir)
    for own in parts.values():
        own.check_zoo(zoo)
    fingerprints = package.description["fingerprints"]
    assert fingerprints == {
        "natural": natural.fingerprint,
        "crafted": crafted.fingerprint,
    }


def test_no_classifier_is_below_the_threshold(package, parts):
    threshold = package.description["zoo"]["min_accuracy"]
    for own in parts.values():
        assert min(entry.accuracy for entry in own.entries) >= threshold


def test_it_is_small_and_says_nothing_of_the_machine(package):
    files = [path for path in package.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES[package.name]
    for path in files:
        if path.suffix in (".json", ".md"):
            assert not ABSOLUTE.search(path.read_text()), path
    for root in ("home", "tmp"):
        assert ABSOLUTE.search(f'"--zoo_dir=/{root}/me/zoo"')
        assert ABSOLUTE.search(f"made in /{root}/x")
    assert any("MNIST" in own for own in package.description["licence"])


def test_both_worlds_are_asked_the_same_crafted_queries():
    worlds = [QueryOutputsInfo.open(f"{name}/crafted") for name in packages.SHIPPED]
    assert len({own.query_inputs.fingerprint for own in worlds}) == 1


def test_wild_net_is_as_large_as_it_is_said_to_be():
    counts = packages.find_package(packages.WILD_NET).description["counts"]
    assert counts["classifiers"] >= 600


@pytest.mark.long
def test_all_its_metamodels_are_ready(package, tmp_path, monkeypatch):
    assert DEFAULT_METAMODEL == "wild_net/kennen-io"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kinds = ready.list_kinds(package)
    assert kinds == KINDS[package.name]
    for kind in kinds:
        opened = ready.open_metamodel(f"{package.name}/{kind}")
        accuracies = opened.description["test_accuracy"].values()
        chance = sum(1 / len(own.values) for own in opened.table) / len(opened.table)
        # One label of each image tells least, and many attributes are told by none.
        least = 0.05 if kind in (packages.KENNEN_I, "labels") else 0.1
        assert sum(accuracies) / len(accuracies) > chance + least
