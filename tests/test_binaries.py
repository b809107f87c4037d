"""The whole chain by the README's commands, from nothing to a named black box."""

import json
import subprocess
import sys

import fakes
import pytest

from kennen_tf.zoo.specs import sample_specs

CHAIN = [
    "build_zoo --zoo_dir=zoo --dataset=idx:digits --specs=specs.jsonl --epochs=2 "
    "--min_accuracy=0.0 --compute_dtype=float32",
    "query_zoo --zoo_dir=zoo --query_dir=queries --num_queries=40",
    "train_metamodel --method=kennen-o --query_dir=queries --metamodel_dir=runs/o "
    "--num_queries=20 --representation=probabilities --split=R --epochs=3",
    "train_metamodel --method=linear --query_dir=queries --metamodel_dir=runs/linear "
    "--num_queries=20",
    "evaluate_metamodel --metamodel_dir=runs/o,runs/linear --output=summary.json",
    "export_metamodel --metamodel_dir=runs/o --export_dir=exported/o",
]


def run(folder, command):
    binary, *flags = command.split()
    result = subprocess.run(
        [sys.executable, "-m", f"kennen_tf.{binary}", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the chain has run."""
    folder = tmp_path_factory.mktemp("chain")
    (folder / "digits").mkdir()
    fakes.write_idx(folder / "digits", fakes.make_digits(1100, 100))
    # Pooled, so that training is quick, and of one shape, so that little is compiled.
    shape = {"act": "elu", "drop": "no", "pool": "yes", "ks": 3, "conv": 2, "fc": 2}
    specs = [
        fakes.read_spec({**spec.to_json(), **shape, "alg": "adam"})
        for spec in sample_specs(fakes.mnist_net.DESIGN, 12, 2, root_seed=0)
    ]
    lines = [json.dumps(spec.to_json()) for spec in dict.fromkeys(specs)]
    (folder / "specs.jsonl").write_text("\n".join(lines))
    for command in CHAIN:
        run(folder, command)
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
    command = f"reveal_black_box --metamodel=exported/o {black_box} --zoo_dir=zoo"
    text = run(folder, command)
    assert "truth" in text and "max pooling" in text
    (black_box,) = json.loads(run(folder, f"{command} --json"))["black_boxes"]
    rows = map(json.loads, (folder / "zoo/manifest.jsonl").read_text().splitlines())
    (spec,) = [row["spec"] for row in rows if row["id"] == name]
    truths = {k: v["truth"] for k, v in black_box["attributes"].items()}
    assert {k: truths[k] for k in spec if k != "seed"} == {
        k: v for k, v in spec.items() if k != "seed"
    }


def test_every_command_says_that_nothing_is_left_to_do(folder):
    assert "finished before" in run(folder, CHAIN[2])
    assert "up to date" in run(folder, CHAIN[1])
