"""build_zoo from the outside: killed, resumed, doubled, and with any worker count."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import fakes
import pytest

from kennen_tf.vocabulary import artifacts
from kennen_tf.zoo import store

# Two classifiers for each of three compiled steps; the second one diverges.
SPECS = [
    {**fakes.SPEC, "seed": seed, **changes}
    for changes in ({"alg": "adam"}, {"alg": "rmsprop", "drop": "yes"}, {"fc": 3})
    for seed in (1, 2)
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with a small dataset and a file of specs."""
    folder = tmp_path_factory.mktemp("source")
    fakes.write_idx(folder, fakes.make_digits(1200, 100))
    lines = [json.dumps(spec) for spec in SPECS]
    (folder / "specs.jsonl").write_text("\n".join(lines))
    return folder


def command(source, zoo_dir, *flags):
    return [
        *(sys.executable, "-m", "kennen_tf.build_zoo", f"--dataset=idx:{source}"),
        *(f"--specs={source}/specs.jsonl", f"--zoo_dir={zoo_dir}", "--epochs=8"),
        *("--min_accuracy=0.3", "--compute_dtype=float32", *flags),
    ]


@pytest.fixture(scope="module")
def uninterrupted(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    result = subprocess.run(
        command(source, folder / "zoo", "--workers=1"),
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "zoo", result


def contents(zoo_dir):
    """Returns what two equal zoos have in common: all but times."""
    rows = [record.to_json() for record in store.read_manifest(zoo_dir)]
    for row in rows:
        del row["seconds"]
    return rows


def test_uninterrupted_run_leaves_a_whole_zoo(uninterrupted):
    folder, result = uninterrupted
    zoo = store.Zoo.open(folder)
    assert [record.spec.to_json() for record in zoo.records] == sorted(
        SPECS, key=lambda spec: fakes.read_spec(spec).id
    )
    for record in zoo.accepted:
        assert zoo.classifier_path(record).stat().st_size == record.num_bytes
        zoo.check_classifier(record)
    assert f"{len(zoo.accepted)} accepted" in result.stdout
    assert "accepted=" in result.stderr and "rejected=" in result.stderr
    files = {path.name for path in (folder / "classifiers").iterdir()}
    assert files == {f"{record.id}.keras" for record in zoo.accepted}


def test_killed_run_goes_on_and_ends_in_the_same_zoo(source, uninterrupted, tmp_path):
    zoo_dir = tmp_path / "zoo"
    manifest = zoo_dir / store.MANIFEST_NAME
    process = subprocess.Popen(
        command(source, zoo_dir, "--workers=2"), stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)

    second = subprocess.run(
        command(source, zoo_dir), capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert "Another process is building a zoo" in second.stderr
    assert len(second.stderr.strip().splitlines()) == 1

    process.send_signal(signal.SIGKILL)
    process.wait()
    with open(manifest, "a") as file:
        file.write('{"torn')
    before = artifacts.read_json_lines(manifest)
    assert 2 <= len(before) < len(SPECS)

    subprocess.run(command(source, zoo_dir, "--workers=2"), check=True)
    after = artifacts.read_json_lines(manifest)
    assert after[: len(before)] == before  # Nothing recorded was trained again.
    assert len(after) == len(SPECS)
    assert contents(zoo_dir) == contents(uninterrupted[0])
    names = [p.name for p in zoo_dir.rglob("*") if artifacts.TEMPORARY_MARK in p.name]
    assert not names


def test_finished_zoo_trains_nothing_and_a_lost_file_again(source, uninterrupted):
    folder, _ = uninterrupted
    record = store.Zoo.open(folder).accepted[0]
    path = store.classifier_path(folder, record.spec)
    content = path.read_bytes()
    path.unlink()
    subprocess.run(command(source, folder), check=True)
    assert path.read_bytes() == content
    times = {p: p.stat().st_mtime_ns for p in pathlib.Path(folder).rglob("*.keras")}
    subprocess.run(command(source, folder), check=True)
    assert times == {p: p.stat().st_mtime_ns for p in times}


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--num_models=0"], "num_models must be at least 1"),
        (["--dataset=idx:nowhere"], "nowhere"),
        (["--dataset=cifar"], "cifar"),
        (["--specs=nowhere.jsonl"], "nowhere.jsonl"),
        (["--zoo_dir=/proc/zoo"], "/proc/zoo"),
        (["--min_accuracy=98"], "min_accuracy must be at least 0.0 and at most 1.0"),
        (["--epochs=many"], "epochs"),
    ],
)
def test_bad_input_is_one_line(source, tmp_path, flags, message):
    result = subprocess.run(
        [*command(source, tmp_path / "zoo"), *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert result.returncode != 0
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.stderr
