"""Recorded answers of classifiers become query outputs, or a sentence says why not."""

import dataclasses

import numpy as np
import pytest
from import_fakes import write_csv

from kennen_tf.configs.importing import ImportOutputsConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.import_outputs import import_outputs
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.vocabulary.errors import UserError
from pipelines import query_outputs as pipeline

SHAPE = NUM_CLASSIFIERS, NUM_QUERIES, NUM_CLASSES = 12, 6, 4
LABELS = np.arange(NUM_QUERIES) % NUM_CLASSES
ROWS = [
    {
        "name": f"n{place:02d}",
        "group": f"g{place // 2}",
        "optimizer": ("adam", "sgd", "")[place % 3],
        "rate": 0.1 * (place + 1),
    }
    for place in range(NUM_CLASSIFIERS)
]


def make_answers(seed=0):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(NUM_CLASSES), SHAPE[:2]).astype(np.float32)


def write(folder, rows=None, **arrays):
    """Writes both files; returns a config for them."""
    write_csv(folder / "models.csv", rows or ROWS)
    np.savez(folder / "answers.npz", **{"outputs": make_answers(), **arrays})
    return ImportOutputsConfig(
        outputs=str(folder / "answers.npz"),
        attributes=str(folder / "models.csv"),
        query_dir=str(folder / "queries"),
        num_shards=2,
    )


def read(config):
    info = QueryOutputsInfo.open(config.query_dir)
    ids = [entry.id for entry in info.entries]
    features, labels = pipeline.load_arrays(info, ids, range(info.num_queries), None)
    return info, features, labels


def test_answers_alone_are_query_outputs(tmp_path, capsys):
    config = write(tmp_path)
    import_outputs(config)
    assert "no images of the queries" in capsys.readouterr().out
    info, features, labels = read(config)
    np.testing.assert_allclose(features, make_answers(), rtol=1e-6)
    assert labels["optimizer"].tolist() == [0, 1, -1] * 4
    assert sorted(set(labels["rate"])) == [0, 1, 2, 3]
    assert info.attributes["rate"].edges
    assert [e.combination_id for e in info.entries] == [row["group"] for row in ROWS]
    assert (info.num_classes, info.query_inputs.has_images) == (NUM_CLASSES, False)
    assert {entry.accuracy for entry in info.entries} == {0}
    assert info.config == config


def test_images_and_labels_of_the_queries_are_kept(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (NUM_QUERIES, 8, 9), np.uint8)
    config = write(tmp_path, images=images, labels=LABELS)
    import_outputs(config)
    info, features, _ = read(config)
    assert info.image_shape == (8, 9, 1)
    assert info.query_inputs.labels.tolist() == LABELS.tolist()
    right = features.argmax(axis=2) == LABELS
    assert [e.accuracy for e in info.entries] == pytest.approx(right.mean(axis=1))


def test_names_match_lines_in_another_order(tmp_path):
    names = [row["name"] for row in ROWS]
    config = write(tmp_path, rows=ROWS[::-1], names=np.array(names))
    import_outputs(config)
    info, features, labels = read(config)
    np.testing.assert_allclose(features, make_answers(), rtol=1e-6)
    assert labels["optimizer"].tolist() == [0, 1, -1] * 4


def test_without_names_lines_are_in_the_order_of_the_outputs(tmp_path):
    rows = [{"depth": place % 2} for place in range(NUM_CLASSIFIERS)]
    config = write(tmp_path, rows=rows)
    import_outputs(config)
    info, features, labels = read(config)
    np.testing.assert_allclose(features, make_answers(), rtol=1e-6)
    assert labels["depth"].tolist() == [0, 1] * 6
    # Without groups, each is one.
    assert len({entry.combination_id for entry in info.entries}) == NUM_CLASSIFIERS


@pytest.mark.parametrize("kind", ["logits", "log-probabilities", "labels"])
def test_answers_of_other_kinds_become_probabilities(tmp_path, kind):
    answers = make_answers()
    made = {
        "logits": np.log(answers) + 3,
        "log-probabilities": np.log(answers),
        "labels": answers.argmax(axis=2),
    }
    config = dataclasses.replace(write(tmp_path, outputs=made[kind]), outputs_kind=kind)
    import_outputs(config)
    _, features, _ = read(config)
    if kind == "labels":
        answers = np.eye(NUM_CLASSES)[answers.argmax(axis=2)]
    np.testing.assert_allclose(features, answers, rtol=1e-4)


def test_a_second_run_says_so_and_other_answers_are_refused(tmp_path, capsys):
    config = write(tmp_path)
    import_outputs(config)
    import_outputs(config)
    assert "up to date" in capsys.readouterr().out
    write(tmp_path, outputs=make_answers(seed=1))
    with pytest.raises(UserError, match="other files or settings.*--overwrite"):
        import_outputs(config)
    import_outputs(dataclasses.replace(config, overwrite=True))
    _, features, _ = read(config)
    np.testing.assert_allclose(features, make_answers(seed=1), rtol=1e-6)


def test_query_zoo_does_not_take_them_for_its_own(tmp_path):
    config = write(tmp_path)
    import_outputs(config)
    info = QueryOutputsInfo.open(config.query_dir)
    with pytest.raises(UserError, match="import_outputs made of .*--overwrite"):
        info.check_made_with(QueryConfig(), info.query_inputs)


WRONG_SUMS = make_answers()
WRONG_SUMS[3] *= 2


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"outputs": np.zeros(SHAPE[:2])}, r"must be numbers \(classifiers, queries, "),
        ({"outputs": np.zeros((12, 6, 1))}, "two classes or more"),
        ({"outputs": np.full(SHAPE, "a")}, "must be numbers"),
        ({"outputs": WRONG_SUMS}, r"outputs\[3\] \(n03\).*with sum 2"),
        ({"outputs": np.full(SHAPE, np.nan)}, r"outputs\[0\] \(n00\).*NaN"),
        ({"outputs": np.log(make_answers())}, "--outputs_kind=log-probabilities"),
        ({"outputs": make_answers()[:11]}, "each of the 11.*Received: 12 lines"),
        ({"names": np.arange(5)}, r"names of the 12.*\(5,\)"),
        ({"names": np.arange(12)}, "those of the column name.*'0', '1', '2'"),
        ({"names": np.full(12, "n00")}, "a name twice"),
        ({"images": np.zeros((5, 8, 8, 3), np.uint8)}, "6 queries.*Received: 5 images"),
        ({"images": np.zeros((6, 8, 8, 3))}, "images as uint8.*float64"),
        ({"labels": np.zeros(5, int)}, "each of the 6 images.*int64 of shape .5,"),
        ({"labels": np.full(6, 4)}, "0 to 3. Received: 4"),
        ({"labels": np.full(6, -1)}, "from 0 on.*from -1 on"),
    ],
)
def test_bad_arrays_are_one_sentence(tmp_path, arrays, sentence):
    config = write(tmp_path, **arrays)
    with pytest.raises(UserError, match=sentence):
        import_outputs(config)
    assert not (tmp_path / "queries").exists()


def test_a_missing_header_is_guessed(tmp_path):
    config = write(tmp_path)
    lines = (tmp_path / "models.csv").read_text().splitlines()[1:]
    (tmp_path / "models.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match="must be a header"):
        import_outputs(config)
    lines = [f"a{place},{'xyz'[place % 3]}" for place in range(NUM_CLASSIFIERS)]
    (tmp_path / "models.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match="Received: 11 lines. Is the header missing"):
        import_outputs(config)


def test_files_that_are_none_are_said(tmp_path):
    config = write(tmp_path)
    np.savez(tmp_path / "answers.npz", answers=make_answers())
    with pytest.raises(UserError, match="must hold an array outputs.*'answers'"):
        import_outputs(config)
    (tmp_path / "answers.npz").write_text("none")
    with pytest.raises(UserError, match="--outputs must be a .npz file"):
        import_outputs(config)
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "thesis.tex").touch()
    with pytest.raises(UserError, match="query outputs and nothing else"):
        import_outputs(config)
