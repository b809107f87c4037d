"""Trained classifiers become a zoo that is queried as ever, or sentences say why."""

import dataclasses
import json
import logging
import os
import pathlib
import re
import shutil
import sys

import import_fakes
import keras
import numpy as np
import pytest

from kennen_tf.configs.importing import ImportConfig
from kennen_tf.configs.queries import QueryConfig
from kennen_tf.evaluation import splits
from kennen_tf.import_zoo import import_zoo
from kennen_tf.metamodels.crafting import gradients
from kennen_tf.queries.query_outputs import QueryOutputsInfo
from kennen_tf.query_zoo import query_zoo
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import imported, store
from pipelines import query_outputs as pipeline

NUM_CLASSIFIERS = 14


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Images, classifiers and a CSV; tests leave them as they are."""
    folder = tmp_path_factory.mktemp("source")
    import_fakes.write_classifiers(folder)
    return folder


@pytest.fixture
def folder(source, tmp_path, monkeypatch):
    """A copy of them, as the current folder."""
    shutil.copytree(source, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_module", raising=False)
    return tmp_path


CONFIG = ImportConfig(classifiers="models.csv", images="images.npz", zoo_dir="zoo")


def read_rows():
    lines = pathlib.Path("models.csv").read_text().splitlines()
    names = lines[0].split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]


def keep(files, **changes):
    """Leaves only some classifiers in the CSV, with the same changes to each."""
    rows = [row for row in read_rows() if row["file"] in files]
    import_fakes.write_csv("models.csv", [{**row, **changes} for row in rows])


def drop_rate(rows):
    return [{k: v for k, v in row.items() if k != "rate"} for row in rows]


def refuse(sentence, config=CONFIG):
    with pytest.raises(UserError, match=sentence) as error:
        import_zoo(config)
    assert not (pathlib.Path(config.zoo_dir) / "config.json").exists()
    return str(error.value)


@pytest.mark.long
def test_an_imported_zoo_is_queried_as_ever(folder, capsys):
    import_zoo(CONFIG)
    assert "14 classifiers imported, of 3 classes" in capsys.readouterr().out
    query_zoo(QueryConfig(zoo_dir="zoo", query_dir="queries", num_queries=20))
    info = QueryOutputsInfo.open("queries")
    assert [entry.id for entry in info.entries] == [
        "labels",
        *(f"m{number:02d}" for number in range(12)),
        "probabilities",
    ]
    ids = [entry.id for entry in info.entries]
    answers, labels = pipeline.load_arrays(info, ids, range(20), None)
    # Whatever they take and answer, they are right most times, as they were made.
    right = (answers.argmax(axis=2) == info.query_inputs.labels).mean(axis=1)
    assert (right > 0.9).all()
    np.testing.assert_allclose(answers.sum(axis=2), 1, atol=1e-5)
    assert set(np.unique(answers[0])) == {0, 1}
    assert labels["depth"].tolist() == [-1, *[0, 1] * 6, -1]
    assert labels["optimizer"].tolist() == [1, *[0, 2] * 6, 1]
    assert labels["rate"].tolist() == [-1, 0, 0, 0, 1, 1, -1, 2, 2, 2, 3, 3, 3, -1]
    assert info.attributes["rate"].edges and info.attributes["depth"].values == (2, 3)
    assert info.labels(info.entries)["rate"].tolist() == labels["rate"].tolist()


def test_answers_are_those_of_the_classifier(folder):
    keep(["models/m00.keras", "models/m03.keras"])
    import_zoo(CONFIG)
    zoo = store.Zoo.open("zoo")
    images, _ = import_fakes.make_images()
    pixels = images.astype(np.float32) / 255
    for record, scale in zip(zoo.accepted, (1, 255), strict=True):
        model = keras.models.load_model(record.file)
        np.testing.assert_allclose(
            imported.ask_imported(zoo, record, pixels),
            model(pixels * scale, training=False),
            atol=1e-5,
        )


def test_members_of_a_group_are_on_one_side(folder):
    import_zoo(CONFIG)
    query_zoo(QueryConfig(zoo_dir="zoo", query_dir="queries", num_queries=5))
    info = QueryOutputsInfo.open("queries")
    groups = {entry.id: entry.combination_id for entry in info.entries}
    assert sorted(set(groups.values())) == ["own", "run0", "run1", "run2"]
    for seed in range(3):
        split = splits.make_split(info.entries, splits.RANDOM, info.attributes, seed)
        sides = [{groups[i] for i in ids} for ids in (split.train_ids, split.test_ids)]
        assert all(sides) and not sides[0] & sides[1]


def test_a_classifier_whose_file_changed_is_not_asked(folder):
    import_zoo(CONFIG)
    import_fakes.make_model(99).save("models/m06.keras")
    with pytest.raises(UserError, match="m06.keras must be the file.*import it again"):
        query_zoo(QueryConfig(zoo_dir="zoo", query_dir="queries", num_queries=5))
    assert not (folder / "queries" / "config.json").exists()


@pytest.mark.long
def test_copied_files_are_the_zoos_own(folder):
    import_zoo(dataclasses.replace(CONFIG, copy=True))
    shutil.rmtree("models")
    shutil.move("zoo", "moved")
    query_zoo(QueryConfig(zoo_dir="moved", query_dir="queries", num_queries=5))
    assert len(QueryOutputsInfo.open("queries").entries) == NUM_CLASSIFIERS


def test_the_same_csv_is_up_to_date_and_a_longer_one_adds(folder, capsys):
    whole = (folder / "models.csv").read_text()
    (folder / "models.csv").write_text("\n".join(whole.splitlines()[:-1]))
    import_zoo(CONFIG)
    header = (folder / "zoo" / "config.json").read_bytes()
    before = store.Zoo.open("zoo")
    import_zoo(CONFIG)
    assert "up to date, 13 classifiers" in capsys.readouterr().out
    (folder / "models.csv").write_text(whole)
    import_zoo(CONFIG)
    assert "1 classifiers imported" in capsys.readouterr().out
    after = store.Zoo.open("zoo")
    assert len(after.records) == NUM_CLASSIFIERS
    assert after.records[1:] == before.records
    assert after.attributes == before.attributes
    assert (folder / "zoo" / "config.json").read_bytes() == header


@pytest.mark.parametrize(
    "old, new, sentence",
    [
        ("models/m00.keras,adam", "models/m00.keras,sgd", "line 2 must say of m00"),
        ("models/m00.keras,adam", "models/m00.keras,lion", "line 2: 'optimizer' must"),
        ("depth", "layers", "a column for each of the attributes"),
        ("run0", "run9", "line 2 must say of m00.*group run0. Received: run9"),
        ("own_module:labels,lbfgs,,,own,,labels\n", "", "without 1, e.g. labels"),
    ],
)
def test_another_csv_for_a_zoo_is_refused(folder, old, new, sentence):
    keep(["models/m00.keras", "models/m01.h5", "own_module:labels"])
    import_zoo(CONFIG)
    text = (folder / "models.csv").read_text().replace("\r\n", "\n")
    assert old in text
    (folder / "models.csv").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=sentence):
        import_zoo(CONFIG)
    assert len(store.Zoo.open("zoo").records) == 3


def test_other_images_for_a_zoo_are_refused(folder):
    keep(["models/m00.keras", "models/m01.h5"])
    import_zoo(CONFIG)
    with pytest.raises(UserError, match="imported with --images=images.npz"):
        import_zoo(dataclasses.replace(CONFIG, images="mnist"))


def test_a_killed_import_leaves_no_zoo(folder, monkeypatch):
    keep(["models/m00.keras", "models/m01.h5"])
    replace, moved = os.replace, []

    def die(source, target):
        # Of the writing of JSON, too: those are within the work folder.
        if ".incomplete" not in str(target) and len(moved) == 2:
            raise KeyboardInterrupt
        moved.extend([target] * (".incomplete" not in str(target)))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            import_zoo(CONFIG)
    with pytest.raises(UserError, match="No zoo at"):
        store.Zoo.open("zoo")
    import_zoo(CONFIG)
    assert len(store.Zoo.open("zoo").records) == 2
    assert not (folder / "zoo" / ".incomplete").exists()


def test_all_that_cannot_be_imported_is_listed_at_once(folder):
    rows = read_rows()
    (folder / "models" / "m06.keras").write_bytes(b"no")
    (folder / "models" / "weights.pt").write_bytes(b"none")
    import_fakes.make_model(0, shape=(8, 8, 3)).save("models/small.keras")
    for file in (
        "models/none.keras",
        "models/weights.pt",
        "models/small.keras",
        "own_module:two_classes",
        "own_module:fails",
        "own_module:missing",
        "no_module:f",
    ):
        rows.append({**rows[0], "file": file})
    rows[4]["outputs"] = "probabilities"
    rows[7]["outputs"] = "labels"
    import_fakes.write_csv("models.csv", rows)
    text = refuse("10 that cannot, and nothing was written")
    for part in (
        "line 6: .*with sum .* say outputs=logits",
        "line 8: .*m06.keras, a file of another kind",
        "line 9: .*must answer one label",
        "line 16: .*none.keras is no file",
        "line 17: .*weights.pt, a file of another kind",
        r"line 18: .*takes images of shape \(8, 8, 3\)",
        "line 19: own_module:two_classes answers 2 classes, but others 3",
        "line 20: .*RuntimeError: no credit left",
        "line 21: .*must have a function 'missing'",
        "line 22: file must be .*importing 'no_module' fails",
    ):
        assert re.search(part, text), part
    assert not (folder / "zoo").exists()


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({1: {"file": "models/none.keras"}}, "line 3: .*models/none.keras is no file"),
        ({1: {"file": ""}}, "line 3: .*nothing. is no file"),
        (
            {1: {"file": "./models/m00.keras"}},
            "file of its own.*line 2 .*line 3 .*[.]/models",
        ),
        ({1: {"pixels": "bytes"}}, "line 3: pixels must be one of.*'bytes'"),
        ({1: {"outputs": "scores"}}, "line 3: outputs must be one of.*'scores'"),
        ({n: {"depth": 3} for n in range(14)}, r"two values.*depth \(3\)"),
    ],
)
def test_a_bad_line_is_named(folder, changes, sentence):
    rows = read_rows()
    for number, change in changes.items():
        rows[number].update(change)
    import_fakes.write_csv("models.csv", rows)
    refuse(sentence)


def test_a_copy_of_a_file_is_not_another_classifier(folder):
    shutil.copy("models/m00.keras", "models/m07.keras")
    refuse("content of its own.*line 2 .models/m00.keras., .*line 9")


def test_a_csv_without_header_is_said(folder):
    lines = (folder / "models.csv").read_text().splitlines()[1:]
    (folder / "models.csv").write_text("\n".join(lines))
    refuse("must be a header: file, .*no column file")


def test_names_are_stems_or_have_their_folders(folder):
    (folder / "more").mkdir()
    import_fakes.make_model(50).save("more/m00.keras")
    rows = [*read_rows()[:2], {**read_rows()[1], "file": "more/m00.keras"}]
    import_fakes.write_csv("models.csv", rows)
    import_zoo(CONFIG)
    assert [r.id for r in store.Zoo.open("zoo").records] == [
        "m01",
        "models-m00",
        "more-m00",
    ]
    rows = [{**row, "name": name} for row, name in zip(rows, "cba", strict=True)]
    import_fakes.write_csv("models.csv", rows)
    import_zoo(dataclasses.replace(CONFIG, zoo_dir="named"))
    assert [r.id for r in store.Zoo.open("named").records] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "zoo_dir, file, sentence",
    [
        ("models", None, "new or empty folder"),
        ("built", "config.json", "a zoo that build_zoo made"),
    ],
)
def test_a_folder_with_something_else_is_refused(folder, zoo_dir, file, sentence):
    if file:
        from kennen_tf.configs.zoo import ZooConfig
        from kennen_tf.designs import digits_net

        (folder / zoo_dir).mkdir()
        table = digits_net.DESIGN.attributes
        store.ZooHeader(
            config=ZooConfig(design="digits_net", num_models=1, zoo_dir=zoo_dir),
            attributes=table,
            image_shape=(8, 8, 1),
            num_classes=10,
        ).write(zoo_dir)
    with pytest.raises(UserError, match=sentence):
        import_zoo(dataclasses.replace(CONFIG, zoo_dir=zoo_dir))


def test_a_classifier_at_chance_is_called_out(folder, caplog):
    keep(["models/m00.keras", "models/m01.h5"])
    images, labels = import_fakes.make_images()
    np.savez("images.npz", images=images, labels=(labels + 1) % 3)
    with caplog.at_level(logging.WARNING, "absl"):
        import_zoo(CONFIG)
    assert "2 of 2 classifiers are no better than guessing" in caplog.text
    assert "m00 (0.0" in caplog.text and "column pixels" in caplog.text


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"images": np.zeros((4, 16, 16, 3))}, "images as uint8.*float64"),
        ({"labels": np.arange(60)}, "0 to 2. Received: 59"),
        ({"labels": np.full(60, -1)}, "from 0 on"),
        ({"labels": np.zeros(7, int)}, "one for each of the 60"),
        (
            {"images": np.zeros((60, 9, 9, 3), np.uint8)},
            r"m00.keras takes images of shape \(16, 16, 3\).*\(9, 9, 3\).*m01.h5",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(folder, arrays, sentence):
    keep(["models/m00.keras", "models/m01.h5"])
    images, labels = import_fakes.make_images()
    np.savez("images.npz", **{"images": images, "labels": labels, **arrays})
    refuse(sentence)


def write_pictures(folder):
    """Writes a folder of pictures of several sizes for each class."""
    for label, name in enumerate(("blue", "green", "red")):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((20 + number, 30, 3), 50, np.uint8)
            pixels[..., label] = 200
            path = folder / "pictures" / name / f"{number}.png"
            keras.utils.save_img(path, pixels, scale=False)


def test_pictures_are_resized_to_what_the_first_classifier_takes(folder):
    write_pictures(folder)
    config = dataclasses.replace(CONFIG, images="pictures")
    import_fakes.make_model(0, shape=(24, 24, 3)).save("models/large.keras")
    rows = read_rows()
    rows.append({**rows[0], "file": "models/large.keras"})
    own = {**rows[-2], "depth": 3}
    import_fakes.write_csv("models.csv", drop_rate([own, rows[0], rows[-1]]))
    refuse(r"large.keras takes images of shape \(24, 24, 3\).*--resize resizes", config)
    config = dataclasses.replace(config, resize=True)
    import_zoo(config)
    zoo = store.Zoo.open("zoo")
    assert zoo.image_shape == (16, 16, 3)
    assert {r.id: r.image_size for r in zoo.records} == {
        "large": 24,
        "m00": 0,
        "labels": 0,
    }
    assert {r.id: r.accuracy for r in zoo.records if r.id != "labels"} == {
        "large": 1.0,
        "m00": 1.0,
    }


def test_a_size_must_be_said_if_no_classifier_does(folder):
    write_pictures(folder)
    rows = [{**row, "optimizer": row["file"][-6:]} for row in read_rows()[-2:]]
    for row in rows:
        del row["depth"]
    import_fakes.write_csv("models.csv", drop_rate(rows))
    config = dataclasses.replace(CONFIG, images="pictures")
    refuse("--image_size must be given", config)


@pytest.mark.long
def test_gradients_go_through_imported_keras_files(folder):
    import tensorflow as tf

    import_fakes.make_model(0, shape=(24, 24, 3)).save("models/large.keras")
    rows = read_rows()
    large = {**rows[0], "file": "models/large.keras"}
    import_fakes.write_csv("models.csv", [rows[0], rows[3], rows[4], rows[1], large])
    import_zoo(dataclasses.replace(CONFIG, resize=True))
    zoo = store.Zoo.open("zoo")
    bank = gradients.GradientBank(zoo, zoo.accepted)
    images, _ = import_fakes.make_images(5)
    pixels = images.astype(np.float32) / 255
    answers = bank.answer(bank.ids, tf.constant(pixels))
    asked = [imported.ask_imported(zoo, record, pixels) for record in zoo.accepted]
    np.testing.assert_allclose(np.exp(answers.log_probabilities), asked, atol=1e-4)
    gradient = answers.image_gradient(tf.ones_like(answers.log_probabilities))
    assert gradient.shape == pixels.shape and np.isfinite(gradient).all()


@pytest.mark.parametrize("file", ["models/m02", "own_module:probabilities"])
def test_gradients_through_others_are_refused(folder, file):
    import tensorflow as tf

    keep(["models/m00.keras", "models/m01.h5", file])
    import_zoo(CONFIG)
    zoo = store.Zoo.open("zoo")
    records = [record for record in zoo.accepted if record.id in file.split(":")[-1]]
    images, _ = import_fakes.make_images(2)
    bank = gradients.GradientBank(zoo, records)
    with pytest.raises(UserError, match="must be (a )?Keras file"):
        bank.answer(bank.ids, tf.constant(images, tf.float32))


def test_the_manifest_says_where_classifiers_are(folder):
    import_zoo(CONFIG)
    lines = (folder / "zoo" / "manifest.jsonl").read_text().splitlines()
    rows = {row["id"]: row for row in map(json.loads, lines)}
    path = folder / "models" / "m00.keras"
    assert rows["m00"]["file"] == str(path)
    assert rows["m00"]["sha256"] == artifacts.sha256_of_file(path)
    assert rows["labels"]["file"] == "own_module:labels"
    assert not rows["labels"]["sha256"]
