"""The binary: a report of a planted leak, exit statuses, what is refused."""

import csv
import html.parser
import json

import audit_fakes
import fakes
import pytest
from PIL import Image

from kennen_tf.audit_classifier import TOO_MUCH, audit_classifier
from kennen_tf.auditing import report
from kennen_tf.configs.auditing import AuditConfig
from kennen_tf.vocabulary.errors import UserError

pytestmark = pytest.mark.long

NOTHING = "audit_fakes:say_nothing"
COUNTED = ("act", "drop", "pool", "ks", "conv", "fc", "alg", "bs", "split")


@pytest.fixture(scope="module")
def query_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "q"
    with pytest.MonkeyPatch.context() as monkeypatch:
        audit_fakes.write_zoo(folder, monkeypatch)
    return folder


def run(query_dir, report_dir, who="answer_as_a_stranger", **settings):
    config = AuditConfig(
        **{
            "classifier": f"audit_fakes:{who}",
            "query_dir": str(query_dir),
            "report_dir": str(report_dir),
            "defences": f"round:1,label,laplace:0.05:fresh,{NOTHING}",
            "num_queries": audit_fakes.NUM_QUERIES,
            "num_asked": 3,
            "pixels": "unit",
            **settings,
        }
    )
    audit_classifier(config)
    return json.loads((report_dir / report.JSON_NAME).read_text())


@pytest.fixture(scope="module")
def folder(query_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    values = audit_fakes.STATE["stranger"].values
    truth = ",".join(f"{name}={values[name]}" for name in COUNTED)
    run(query_dir, folder, truth=truth)
    return folder


@pytest.fixture(scope="module")
def document(folder):
    return json.loads((folder / report.JSON_NAME).read_text())


def bits_of(document, name):
    [own] = [own for own in document["defences"] if own["defence"] == name]
    return {a["attacker"]: a["total"]["bits"] for a in own["attackers"]}


def test_what_is_planted_is_found_of_it_and_of_others(document):
    [told] = document["defences"][0]["attackers"]
    assert told["total"]["interval"][0] > 0.4 * told["total"]["entropy"]
    assert told["own_total"] > 0.4 * told["total"]["entropy"]
    named = document["revelation"]["attributes"]
    values = audit_fakes.STATE["stranger"].values
    assert sum(named[name]["value"] == values[name] for name in COUNTED) >= 7


def test_total_is_of_attributes_that_are_drawn(document):
    [told] = document["defences"][0]["attackers"]
    assert sorted(document["counted"]) == sorted(COUNTED)
    total = sum(told["leaks"][name]["bits"] for name in COUNTED)
    assert told["total"]["bits"] == pytest.approx(total)
    assert told["own_total"] == pytest.approx(sum(told["own"][n] for n in COUNTED))


def test_who_says_nothing_gives_nothing_away(document):
    assert bits_of(document, NOTHING)["aware"] == pytest.approx(0, abs=0.4)
    assert max(bits_of(document, "round:1").values()) > 3


def test_headline_is_the_worse_of_both_attackers(document):
    for own in document["defences"]:
        bits = {a["attacker"]: a["total"]["bits"] for a in own["attackers"]}
        assert own["worst"] == max(bits, key=bits.get)


def test_fresh_noise_is_averaged_away(document):
    [own] = [o for o in document["defences"] if o["defence"].endswith(":fresh")]
    bits = {
        a["num_asked"]: a["total"]["bits"]
        for a in own["attackers"]
        if a["attacker"] == "aware"
    }
    assert set(bits) == {1, 3}
    assert bits[3] > bits[1]


def test_more_queries_tell_more(document):
    points = {
        (own["source"], own["num_queries"]): own["bits"] for own in document["points"]
    }
    for source in ("natural", "chosen"):
        assert points[source, audit_fakes.NUM_QUERIES] > points[source, 1] + 1


def test_report_has_all_its_files_and_recommends_in_words(folder, document):
    names = {path.name for path in folder.iterdir()}
    pictures = {"attributes.png", "queries.png", "defences.png"}
    assert names == {report.PAGE_NAME, report.JSON_NAME, report.CSV_NAME, *pictures}
    for name in pictures:
        with Image.open(folder / name) as image:
            assert min(image.size) > 300
    with open(folder / report.CSV_NAME, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(own["attackers"]) for own in document["defences"])
    first, second = document["recommendation"]
    assert first.endswith(".") and second.endswith(".")
    assert document["front"][0] == "none"


class Reader(html.parser.HTMLParser):
    """Collects what a page would fetch, and what it runs."""

    def __init__(self):
        super().__init__()
        self.fetched, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href") and not value.startswith(("#", "data:")):
                self.fetched.append(value)

    def handle_data(self, data):
        self.text.append(data)


def test_page_stands_alone(folder, document):
    reader = Reader()
    reader.feed((folder / report.PAGE_NAME).read_text(encoding="utf-8"))
    assert reader.fetched == []
    assert "script" not in reader.tags
    assert reader.tags.count("img") == 3
    text = " ".join(" ".join(reader.text).split())
    assert document["recommendation"][0] in text
    for heading in ("What is given away", "Defences", "Method", "Glossary"):
        assert heading in text


def test_one_of_the_zoo_is_found_and_nobody_learned_from_it(query_dir, tmp_path):
    found = run(query_dir, tmp_path, "answer_as_a_member", defences="none")
    member = audit_fakes.STATE["member"]
    assert found["twin"] == member.id
    assert found["truth"] == {k: v for k, v in member.values.items() if v is not None}
    left_out = sum(
        entry.combination_id == member.combination_id
        for entry in fakes.make_entries(audit_fakes.NUM_ENTRIES)
    )
    known = found["num_train"] + found["num_held_out"]
    assert known == audit_fakes.NUM_ENTRIES - left_out


@pytest.mark.parametrize(
    ("who", "deployed"), [("answer_rounded", "round:2"), ("answer_labels", "label")]
)
def test_how_it_answers_now_is_seen_and_the_zoo_answers_likewise(
    query_dir, tmp_path, who, deployed
):
    found = run(query_dir, tmp_path, who, defences="none")
    assert found["deployed"] == deployed
    # Likeliest labels betray all; who learned from answers in full would be lost.
    [told] = found["defences"][0]["attackers"]
    assert told["total"]["bits"] > 0.5 * told["total"]["entropy"]
    assert told["own_total"] > 0.5 * told["total"]["entropy"]


def test_too_many_bits_end_with_a_status_of_their_own(query_dir, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run(query_dir, tmp_path, defences="none", fail_above=1.0)
    assert ended.value.code == TOO_MUCH
    assert "more than --fail_above=1" in capsys.readouterr().err
    # The report is there all the same, and may be replaced.
    found = run(query_dir, tmp_path, defences="none", fail_above=90.0)
    assert found["defences"][0]["defence"] == "none"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"truth": "act"}, "attributes and values"),
        ({"truth": "colour=red"}, "Unknown attribute"),
        ({"truth": "act=sine"}, "must be one of relu"),
        ({"defences": "mirror"}, "A defence must be"),
        ({"defences": "audit_fakes:say_too_little"}, "must return numbers of shape"),
        ({"defences": "audit_fakes:fail"}, "failed when it was given .* no mood"),
        ({"counts": "1,many"}, "--counts must be whole numbers"),
    ],
)
def test_what_cannot_be_audited_is_refused(query_dir, tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        run(query_dir, tmp_path, **settings)


def test_truth_and_defences_are_read_before_anything_is_asked(query_dir, tmp_path):
    before = audit_fakes.STATE["asked"]
    refused = ("mirror", "audit_fakes:say_too_little")
    for settings in (
        {"truth": "act=sine"},
        *({"defences": name} for name in refused),
    ):
        with pytest.raises(UserError):
            run(query_dir, tmp_path, **settings)
    assert audit_fakes.STATE["asked"] == before


def test_a_classifier_at_chance_is_nothing_to_audit(tmp_path):
    # Labels of these images are drawn; nobody can know them.
    fakes.write_query_outputs(tmp_path / "q", 40, 24, planted=True)
    with pytest.raises(UserError, match="nothing to audit|no better than chance"):
        run(tmp_path / "q", tmp_path / "report")


def test_a_folder_of_something_else_is_left_alone(query_dir, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something else"):
        run(query_dir, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_one_of_two_things_is_audited():
    with pytest.raises(UserError, match="--classifier must be given"):
        AuditConfig(report_dir="x")
    with pytest.raises(UserError, match="--fail_above"):
        AuditConfig(report_dir="x", attack_dir="y", fail_above=1.0)
