"""Packages with queries of another one, and with answers of strangers."""

import json

import fakes
import numpy as np
import package_fakes
import pytest
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier

from kennen_tf.package_zoo import package_zoo
from kennen_tf.packaging import strangers
from kennen_tf.packaging.strangers import Stranger
from kennen_tf.queries import packages
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.revealing import ready
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.vocabulary.labeled_images import LabeledImages

NUM_GIVEN, NUM_NATURAL = 7, 5
EVERYBODY = strangers.list_strangers()
FEW = tuple(
    Stranger(name=f"{kind} {number}", classifier=own, num_images=300)
    for number, (kind, own) in enumerate(
        [("naive Bayes", BernoulliNB()), ("neighbours", KNeighborsClassifier(3))] * 3
    )
)


@pytest.fixture(scope="module", autouse=True)
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strangers, "list_strangers", lambda: FEW)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A zoo, queries of another package, and a package with both."""
    folder = fakes.make_betraying_zoo(
        tmp_path_factory.mktemp("strangers"), num_combinations=12, names=("alg", "bs")
    )
    fakes.write_query_outputs(folder / "given", 3, NUM_GIVEN, planted=True, seed=3)
    package_zoo(make_config(folder))
    return folder


def make_config(folder, name="mine", **settings):
    return package_fakes.make_config(
        folder,
        **{
            "zoo_dir": str(folder / "zoo"),
            "package_dir": str(folder / name),
            "num_queries": NUM_NATURAL,
            "crafted_queries": str(folder / "given"),
            "strangers": True,
            **settings,
        },
    )


def test_the_zoo_answers_to_the_images_of_the_other_one(folder):
    package = packages.find_package(folder / "mine")
    own = QueryOutputsInfo.open(f"{folder}/mine/crafted")
    given = QueryOutputsInfo.open(folder / "given")
    assert own.query_inputs.fingerprint == given.query_inputs.fingerprint
    assert own.records == QueryOutputsInfo.open(folder / "q").records
    # None of its classifiers had a part in them.
    assert package.description["descended_through"] == []
    assert ready.list_kinds(package) == ["kennen-s", "kennen-io", "labels", "ranking"]


def test_strangers_answers_are_those_that_they_gave(folder):
    package = packages.find_package(folder / "mine")
    for part, count in (("natural", NUM_NATURAL), ("crafted", NUM_GIVEN)):
        found = package.load_strangers(part)
        assert found.shape == (len(FEW), count, 10)
        np.testing.assert_allclose(np.exp(found).sum(axis=2), 1, atol=0.01)
    assert package.description["strangers"]["count"] == len(FEW)
    readme = (folder / "mine" / "README.md").read_text()
    assert "6 classifiers that are no networks" in readme
    assert "given`, which kennen-io crafted" in readme


def test_ready_metamodels_know_them(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    opened = ready.open_metamodel(f"{folder}/mine/kennen-s")
    assert opened.limits[0].novelty.likeness is not None
    # Of labels alone, shapes of answers are not known.
    labels = ready.open_metamodel(f"{folder}/mine/labels")
    assert labels.limits[0].novelty.likeness is None


def test_the_same_command_again_finds_it(folder):
    before = (folder / "mine" / "package.json").read_bytes()
    package_zoo(make_config(folder))
    assert (folder / "mine" / "package.json").read_bytes() == before
    with pytest.raises(UserError, match="holds another package"):
        package_zoo(make_config(folder, strangers=False))


def test_a_package_of_before_there_were_these_settings_is_found(folder, tmp_path):
    plain = make_config(
        folder, package_dir=str(tmp_path / "old"), crafted_queries="", strangers=False
    )
    package_zoo(plain)
    path = tmp_path / "old" / "package.json"
    stored = json.loads(path.read_text())
    for name in ("crafted_queries", "strangers"):
        del stored["config"][name]
    path.write_text(json.dumps(stored))
    before = path.read_bytes()
    package_zoo(plain)
    assert path.read_bytes() == before


def test_both_ways_to_come_by_crafted_queries_are_one_too_many(folder):
    with pytest.raises(UserError, match="Either --crafted_queries or"):
        make_config(folder, crafted_metamodels="a,b")


def test_images_of_another_shape_are_refused_before_any_work(folder, monkeypatch):
    shape = property(
        lambda info: (8, 8, 1) if info.query_dir.name == "given" else (28, 28, 1)
    )
    monkeypatch.setattr(QueryOutputsInfo, "image_shape", shape)
    with pytest.raises(UserError, match="of the zoo's shape, .*given, with images of"):
        package_zoo(make_config(folder, "other"))
    assert not (folder / "other").exists()


def test_a_damaged_file_is_told(folder, tmp_path):
    package = packages.find_package(folder / "mine")
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / packages.STRANGERS_NAME).write_bytes(b"PK no")
    broken = packages.Package(name="broken", folder=tmp_path)
    with pytest.raises(UserError, match="strangers.npz is damaged"):
        broken.load_strangers("natural")
    assert package.load_strangers("natural") is not None
    nothing = packages.Package(name="none", folder=tmp_path / "none")
    assert nothing.load_strangers("natural") is None


def test_all_strangers_can_be_trained_and_name_digits_they_have_seen():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 30).astype(np.int32)
    images = np.zeros((300, 4, 4, 1), np.uint8)
    images.reshape(300, 16)[np.arange(300), labels] = 200
    images += random.integers(0, 30, images.shape, np.uint8)
    digits = LabeledImages(
        train_images=images,
        train_labels=labels,
        test_images=images,
        test_labels=labels,
    )
    for stranger in EVERYBODY:
        said = stranger.train(digits, 0)(images / np.float32(255))
        assert said.shape == (300, 10)
        np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-5)
        assert np.mean(said.argmax(axis=1) == labels) > 0.8, stranger.name
