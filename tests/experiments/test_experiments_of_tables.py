"""Every experiment on zoos of other attributes, with runs whose results are made up."""

import copy
import dataclasses
import functools
import json
import types

import numpy as np
import pytest
import tables
from figure_checks import assert_nothing_is_cut_off, smallest_letters
from matplotlib.text import Text
from tables import PAPERS, SMALL, THIRTEEN

from kennen_tf.attributes import MISSING, Attribute, AttributeTable
from kennen_tf.configs.metamodels import MetamodelConfig
from kennen_tf.configs.reproduction import EXPERIMENTS, WILD, ReproductionConfig
from kennen_tf.evaluation import scores
from kennen_tf.evaluation.results import results_document
from kennen_tf.experiments import catalog, crafted, embedding, readers
from kennen_tf.experiments.shared import report
from kennen_tf.experiments.shared import runs as runs_lib
from kennen_tf.metamodels import folder as folder_lib
from kennen_tf.metamodels.metrics import Side
from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError

NUM_CLASSES = 3
IMAGE_SHAPE = (6, 5, 3)
NUM_ENTRIES, NUM_QUERIES = 120, 4
EMBED = embedding._embed
# The other one asks files, by metamodels that are no runs: see `wild/`.
ON_THE_ZOO = [name for name in EXPERIMENTS if name != WILD]


class MadeUpRuns:
    """Stands in for `runs.Runs`: nothing is trained, and some labels are missing."""

    def __init__(self, table, folder):
        self.config = ReproductionConfig(
            num_seeds=2,
            num_queries=NUM_QUERIES,
            query_draws=2,
            curve_draws=1,
            train_sizes="10",
            query_counts="2,4",
            crafted_query_counts="2",
            other_zoos="another:its",
        )
        self.labels = tables.make_labels(table, NUM_ENTRIES, missing_share=0.3)
        entries = [
            types.SimpleNamespace(id=str(i), members=(str(i),), accuracy=0.9)
            for i in range(NUM_ENTRIES)
        ]
        for place, entry in enumerate(entries):
            entry.values = {
                a.name: None
                if self.labels[a.name][place] == MISSING
                else a.values[self.labels[a.name][place]]
                for a in table
            }
        self.info = types.SimpleNamespace(
            attributes=table,
            num_classes=NUM_CLASSES,
            entries=entries,
            labels=lambda entries: self.labels,
        )
        self.zoo = types.SimpleNamespace(
            records=[
                types.SimpleNamespace(
                    values=entry.values, status="accepted", accuracy=0.9
                )
                for entry in entries
            ],
            values_of=lambda members: members[0].values,
            config=types.SimpleNamespace(min_accuracy=0.5, epochs=1),
        )
        self.outputs = self
        self._folder = folder

    def make_config(self, method, seed, **settings):
        config = MetamodelConfig(
            method=method, seed=seed, zoo_dir="zoo", num_queries=NUM_QUERIES
        )
        config = dataclasses.replace(config, **settings)
        name = artifacts.fingerprint(config.to_json())
        return dataclasses.replace(config, metamodel_dir=str(self._folder / name))

    def beside(self, zoo_dir, query_dir):
        assert (zoo_dir, query_dir) == ("another", "its")
        other = copy.copy(self)
        other.zoo = copy.copy(self.zoo)
        other.zoo.config = types.SimpleNamespace(min_accuracy=0.7, epochs=5)
        return other

    def train(self, experiment, configs):
        return [self._make_run(config) for config in configs]

    def _make_run(self, config):
        table = self.info.attributes
        document = results_document(
            make_results(table),
            config=config.to_json(),
            fingerprints={"query_outputs": "q"},
            num_train=40,
        )
        document = json.loads(json.dumps({**document, "seconds": 1.0}))
        run = runs_lib.Run(config=config, document=document)
        run.folder.mkdir(parents=True, exist_ok=True)
        row = {"train": {"accuracy": {table.names[0]: 0.75}}}
        artifacts.append_json_line(run.folder / folder_lib.METRICS_NAME, row)
        return run

    def split_sizes(self, config):
        return 40, 20

    def query_indices(self, config):
        return list(range(NUM_QUERIES))

    def load_arrays(self, info, entry_ids, query_indices, representation):
        return make_answers(len(entry_ids)), self.labels

    def load_sides(self, config):
        features = np.log(make_answers(NUM_ENTRIES))
        side = Side(features, self.labels)
        return side, side


@functools.cache
def make_results(table):
    """Makes the results that all runs on a table have."""
    labels = tables.make_labels(table, NUM_ENTRIES, missing_share=0.3)
    return scores.evaluate(table, labels, tables.make_probabilities(table, labels))


@functools.cache
def embed_once(num_entries):
    """Embeds the answers, which are the same for all methods and tables."""
    return EMBED(make_answers(num_entries))


@functools.cache
def make_answers(num_entries):
    random = np.random.default_rng(0)
    shape = (num_entries, NUM_QUERIES)
    return random.dirichlet(np.ones(NUM_CLASSES), shape).astype(np.float32)


@pytest.fixture
def make_runs(tmp_path, monkeypatch):
    """Makes runs on a zoo with a table."""

    def load(folder):
        names = runs.info.attributes.names
        images = np.zeros((len(names), *IMAGE_SHAPE), np.uint8)
        images[:, 0, 0] = 255, 0, 0
        queries = types.SimpleNamespace(images=images, pixels=images / 255)
        return types.SimpleNamespace(attribute_names=names, query_inputs=queries)

    def make(table):
        nonlocal runs
        runs = MadeUpRuns(table, tmp_path / "runs")
        return runs

    runs = None
    for module in (crafted, embedding):
        monkeypatch.setattr(module.Metamodel, "load", load)
    monkeypatch.setattr(
        embedding.asking, "ask", lambda zoo, entries, _: make_answers(len(entries))
    )
    monkeypatch.setattr(embedding, "_embed", lambda answers: embed_once(len(answers)))
    monkeypatch.setattr(readers, "NUM_TREES", 20)
    return make


def run(experiment, runs):
    """Returns result, figures and section, the result as it is read from a file."""
    table = runs.info.attributes
    result = json.loads(json.dumps(experiment.measure(runs), allow_nan=False))
    return result, experiment.draw(result, table), experiment.show(result, table)


def words_of(section):
    parts = [section.about, *section.notes]
    for table in section.tables:
        parts += [
            table.caption,
            *table.columns,
            *(c for row in table.rows for c in row),
        ]
    return "\n".join([*parts, *(picture.caption for picture in section.pictures)])


@pytest.mark.parametrize("name", ON_THE_ZOO)
@pytest.mark.parametrize("table", [SMALL, SMALL.select(["stem"])], ids=len)
def test_on_another_table_all_is_said_and_nothing_of_the_paper(name, table, make_runs):
    result, drawn, section = run(catalog.BY_NAME[name], make_runs(table))
    words = words_of(section)
    for word in ("†", "the paper", "twelve", "MNIST"):
        assert word not in words.replace("paper's recipe", "")
    if name == "table3":
        assert result["rows"] == [] and not drawn and not section.tables
        [note] = section.notes
        assert note.startswith("Left out, as the zoo lacks the attributes: E-conv, E-")
        return
    assert drawn and set(drawn) == {picture.stem for picture in section.pictures}
    for figure in drawn.values():
        assert_nothing_is_cut_off(figure)
        legends = [t.get_text() for legend in figure.legends for t in legend.texts]
        assert not any("paper" in text or "†" in text for text in legends)
    for shown in section.tables:
        assert {len(row) for row in shown.rows} == {len(shown.columns)}
        if name in ("table2", "readers"):
            assert [c for c in shown.columns if c in (a.code for a in table)] == [
                a.code for a in table
            ]


@pytest.mark.long
@pytest.mark.parametrize("name", ON_THE_ZOO)
def test_many_attributes_with_long_names_are_drawn(name, make_runs):
    _, drawn, _ = run(catalog.BY_NAME[name], make_runs(tables.EIGHTEEN))
    for figure in drawn.values():
        assert_nothing_is_cut_off(figure)


@pytest.mark.long
@pytest.mark.parametrize("name", ON_THE_ZOO)
def test_figures_of_the_papers_attributes_are_read_on_a_small_screen(name, make_runs):
    _, drawn, _ = run(catalog.BY_NAME[name], make_runs(PAPERS))
    for figure in drawn.values():
        assert_nothing_is_cut_off(figure)
        assert smallest_letters(figure) > 6.4
        # Above all there is what the figure shows, and no panel is without words.
        assert figure.get_suptitle()
        named = {t.get_text() for t in figure.findobj(Text)}
        assert not named & {"act", "drop", "pool", "#conv"}


@pytest.mark.parametrize("table", [PAPERS, THIRTEEN], ids=len)
def test_the_papers_row_stands_below_ours(table, make_runs):
    _, _, section = run(catalog.BY_NAME["table2"], make_runs(table))
    [shown] = section.tables
    rows = {row[0]: dict(zip(shown.columns, row, strict=True)) for row in shown.rows}
    ours, theirs = rows["kennen-io"], rows["† kennen-io"]
    assert theirs["act"] == "88.4" and theirs["avg"] == "80.1"
    assert rows["† chance"]["act"] == "25.0" and rows["† chance"]["avg"] == "34.9"
    assert ours["act"] not in ("-", "88.4")
    has_no_number = [code for code, cell in theirs.items() if cell == "-"]
    assert has_no_number == ([] if table is PAPERS else ["norm"])
    if table is THIRTEEN:
        assert ours["norm"] != "-" and rows["† chance"]["norm"] == "-"
    assert ("The paper does not have norm." in section.notes) == (table is THIRTEEN)


def test_zoos_of_more_epochs_stand_below_those_of_fewer(make_runs):
    result, _, section = run(catalog.BY_NAME["epochs"], make_runs(SMALL))
    found = [(row["method"], row["epochs"]) for row in result["rows"]]
    assert found == [(m, n) for m in ("kennen-o", "kennen-s") for n in (1, 5)]
    [shown] = section.tables
    assert [row[:3] for row in shown.rows][:2] == [
        ["kennen-o", "1", "50"],
        ["kennen-o", "5", "70"],
    ]


def test_zoos_that_cannot_be_compared_are_refused(make_runs):
    runs = make_runs(SMALL)
    other = runs.beside("another", "its")
    runs.beside = lambda *_: other
    other.info = types.SimpleNamespace(
        attributes=PAPERS, query_dir="its", entries=runs.info.entries
    )
    with pytest.raises(UserError, match="must have the attributes of the zoo in"):
        catalog.BY_NAME["epochs"].measure(runs)
    other.info = runs.info
    other.zoo.config = types.SimpleNamespace()
    with pytest.raises(UserError, match="which was imported"):
        catalog.BY_NAME["epochs"].measure(runs)


def test_a_thirteenth_attribute_has_no_point_of_the_papers(make_runs):
    for name in ("num-train", "crafted", "table3"):
        _, drawn, section = run(catalog.BY_NAME[name], make_runs(THIRTEEN))
        assert "†" in words_of(section)
        for shown in section.tables:
            for row in shown.rows:
                assert row[0] != "norm" or row[-1] == "-"
    figure = run(catalog.BY_NAME["num-train"], make_runs(THIRTEEN))[1]["curves"]
    diamonds = {
        axes.get_title(): [line for line in axes.lines if line.get_marker() == "D"]
        for axes in figure.axes
    }
    assert len(diamonds["activation (act)"]) == 2 and diamonds["norm"] == []


def test_an_e_split_needs_its_attributes_and_their_values(make_runs):
    alg = Attribute(name="alg", values=("sgd", "adam", "rmsprop"))
    table = AttributeTable([*SMALL, alg])
    result, drawn, section = run(catalog.BY_NAME["table3"], make_runs(table))
    assert [row["split"] for row in result["rows"]] == ["R", "E-alg"]
    assert "E-alg: alg:sgd,adam>rmsprop." in words_of(section)
    assert "E-alg-bs" in section.notes[0]
    labels = [t.get_text() for t in drawn["splits"].axes[0].get_yticklabels()]
    assert labels[0] == "R: held out at random"
    assert labels[1] == "E-alg: alg\ntrained on sgd, adam,\ntested on rmsprop"
    # Of the same name, but without a value that is tested on.
    other = dataclasses.replace(alg, values=("sgd", "adam"))
    result, _, _ = run(
        catalog.BY_NAME["table3"], make_runs(AttributeTable([*SMALL, other]))
    )
    assert result["rows"] == []


def test_rankings_run_to_the_zoos_number_of_classes(make_runs):
    result, _, _ = run(catalog.BY_NAME["top-k"], make_runs(SMALL))
    assert [point["x"] for point in result["curves"]["kennen-o"]] == [1, 2, 3]


def test_crafted_images_keep_shape_and_colours(make_runs):
    result, drawn, _ = run(catalog.BY_NAME["crafted"], make_runs(SMALL))
    assert result["images"]["stem"]["shape"] == list(IMAGE_SHAPE)
    [image] = drawn["images"].axes[0].get_images()
    pixels = np.asarray(image.get_array())
    assert pixels.shape == IMAGE_SHAPE and tuple(pixels[0, 0]) == (1, 0, 0)


def test_values_of_an_embedding_differ_in_shape_and_lightness(make_runs):
    _, drawn, _ = run(catalog.BY_NAME["embedding"], make_runs(SMALL))
    assert set(drawn) == set(embedding.METHODS)
    for axes in drawn["kennen-o"].axes:
        marks = [own for own in axes.collections if not own.get_label().startswith("_")]
        marks = [own for own in marks if own.get_label() != "not known"]
        shapes = {own.get_paths()[0].vertices.tobytes() for own in marks}
        gray = sorted(own.get_facecolor()[0, :3] @ [0.3, 0.6, 0.1] for own in marks)
        assert len(shapes) == len(marks) > 1 and np.diff(gray).min() > 0.2


def test_values_that_are_not_known_are_counted_apart(make_runs):
    runs = make_runs(SMALL)
    result, _, section = run(catalog.BY_NAME["attributes"], runs)
    num_missing = int(np.sum(runs.labels["license"] == MISSING))
    counts = {
        row["value"]: row["num_entries"]
        for row in result["rows"]
        if row["attribute"] == "license"
    }
    assert num_missing > 0 and counts[None] == num_missing
    assert sum(counts.values()) == NUM_ENTRIES
    cells = [row[1] for row in section.tables[0].rows if row[0] == "license"]
    assert cells == ["MIT", "Apache-2.0", "not known"]


def test_readers_learn_from_known_values_and_are_scored_on_them(make_runs):
    runs = make_runs(SMALL)
    # What the first query answers is the value; where it is not known, it misleads.
    answer = np.log(make_answers(NUM_ENTRIES))[:, 0].argmax(axis=1)
    is_known = runs.labels["augmentation"] != MISSING
    runs.labels["augmentation"] = np.where(is_known, answer, MISSING)
    runs.labels["license"][:] = MISSING
    result, _, _ = run(catalog.BY_NAME["readers"], runs)
    trees = result["readers"]["extra trees"]
    assert trees["augmentation"]["mean"] == 1
    assert trees["license"] is None


def test_a_document_of_before_it_carried_the_table_is_of_the_papers():
    document = report.make_document(
        "top-k",
        {},
        table=SMALL,
        command="c",
        made_from={"query_outputs": "q", "zoo": "z"},
        seconds=1.0,
        num_trained=0,
    )
    assert report.read_table(json.loads(json.dumps(document))) == SMALL
    del document["attributes"]
    assert report.read_table(document) == PAPERS


@pytest.mark.parametrize(
    ("table", "has_paper", "num_trained"), [(SMALL, False, 0), (PAPERS, True, 3)]
)
def test_the_pages_name_the_papers_zoo_only_for_its_table(
    table, has_paper, num_trained, make_runs, tmp_path
):
    experiment = catalog.BY_NAME["query-choice"]
    result, drawn, section = run(experiment, make_runs(table))
    document = report.make_document(
        "query-choice",
        result,
        table=table,
        command="c",
        made_from={"query_outputs": "q", "zoo": "z"},
        seconds=1.0,
        num_trained=num_trained,
    )
    report.write(tmp_path, document)
    report.write_figures(tmp_path, "query-choice", drawn)
    for path in report.write_pages(tmp_path, [(document, section)]):
        text = path.read_text()
        assert ("MNIST-NET" in text) == has_paper
        assert ("of other attributes than the paper's" in text) != has_paper
        assert ("3 runs in 1 seconds on" in text) == (num_trained == 3)
        assert "0 seconds" not in text and "0 runs" not in text
