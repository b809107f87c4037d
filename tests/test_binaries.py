"""The whole chain by the README's commands, from nothing to a named black box."""

import json

import commands
import design_fakes
import pytest

from kennen_tf.designs import digits_net

pytestmark = pytest.mark.long

CHAIN = [
    "build_zoo --zoo_dir=zoo --design=digits_net --specs=specs.jsonl --epochs=2 "
    "--min_accuracy=0.0 --workers=1",
    "query_zoo --zoo_dir=zoo --query_dir=queries --num_queries=40",
    "train_metamodel --method=kennen-o --query_dir=queries --metamodel_dir=runs/o "
    "--num_queries=20 --representation=probabilities --split=R --epochs=2",
    "train_metamodel --method=linear --query_dir=queries --metamodel_dir=runs/linear "
    "--num_queries=20",
    "evaluate_metamodel --metamodel_dir=runs/o,runs/linear --output=summary.json",
    "export_metamodel --metamodel_dir=runs/o --export_dir=exported/o",
]
# Of one shape, so that one step is compiled.
CHANGES = [
    {"bs": bs, "split": split, "seed": seed}
    for bs in (16, 64)
    for split in ("all0", "half0", "half1")
    for seed in (1, 2)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the chain has run."""
    folder = tmp_path_factory.mktemp("chain")
    specs = [
        design_fakes.make_spec(digits_net.DESIGN, **changes) for changes in CHANGES
    ]
    lines = [json.dumps(spec.to_json()) for spec in specs]
    (folder / "specs.jsonl").write_text("\n".join(lines))
    for line in CHAIN:
        commands.run(folder, line)
    return folder


def test_the_chain_leaves_what_the_readme_says(folder):
    for path in (
        "zoo/manifest.jsonl",
        "queries/dataset_info.json",
        "runs/o/metamodel.keras",
        "runs/o/results.json",
        "runs/o/figures/accuracy.png",
        "runs/o/figures/confusion.png",
        "runs/linear/results.json",
        "exported/o/saved_model.pb",
        "summary.json",
    ):
        assert (folder / path).stat().st_size > 0, path


def test_a_held_out_classifier_is_revealed_with_the_truth_beside(folder):
    held_out = json.loads((folder / "runs/o/split.json").read_text())["test"][0]
    name = held_out.split("+")[0]
    black_box = f"--black_box=zoo/classifiers/{name}.keras"
    line = f"reveal_black_box --metamodel=exported/o {black_box} --zoo_dir=zoo"
    text = commands.run(folder, line)
    assert "truth" in text and "max pooling" in text
    (black_box,) = json.loads(commands.run(folder, line, "--json"))["black_boxes"]
    rows = map(json.loads, (folder / "zoo/manifest.jsonl").read_text().splitlines())
    (spec,) = [row["spec"] for row in rows if row["id"] == name]
    truths = {k: v["truth"] for k, v in black_box["attributes"].items()}
    assert {k: truths[k] for k in spec if k != "seed"} == {
        k: v for k, v in spec.items() if k != "seed"
    }


def test_every_command_says_that_nothing_is_left_to_do(folder):
    assert "finished before" in commands.run(folder, CHAIN[2])
    assert "up to date" in commands.run(folder, CHAIN[1])
