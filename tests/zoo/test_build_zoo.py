"""build_zoo from the outside: killed, resumed, doubled, and with any worker count."""

import pathlib
import signal
import subprocess
import sys
import time

import build_fakes
import commands
import pytest

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError
from kennen_tf.zoo import store

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The command for a small dataset and a file of specs."""
    return build_fakes.write_source(tmp_path_factory.mktemp("source"))


def line(command, zoo_dir, *flags):
    fixed = (f"--zoo_dir={zoo_dir}", "--epochs=12", "--min_accuracy=0.93")
    return " ".join([command, *fixed, *flags])


@pytest.fixture(scope="module")
def uninterrupted(command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    printed = commands.run(folder, line(command, folder / "zoo", "--workers=1"))
    return folder / "zoo", printed


def test_uninterrupted_run_leaves_a_whole_zoo(uninterrupted):
    folder, printed = uninterrupted
    zoo = store.Zoo.open(folder)
    assert [r.spec for r in zoo.records] == sorted(
        build_fakes.SPECS, key=lambda spec: spec.id
    )
    assert {r.status for r in zoo.records} == {store.ACCEPTED, store.REJECTED}
    for record in zoo.accepted:
        assert zoo.classifier_path(record).stat().st_size == record.num_bytes
        zoo.check_classifier(record)
    assert f"{len(zoo.accepted)} accepted" in printed
    files = {path.name for path in (folder / "classifiers").iterdir()}
    assert files == {f"{record.id}.keras" for record in zoo.accepted}


def test_killed_run_goes_on_and_ends_in_the_same_zoo(command, uninterrupted, tmp_path):
    zoo_dir = tmp_path / "zoo"
    manifest = zoo_dir / store.MANIFEST_NAME
    binary, *flags = line(command, zoo_dir, "--workers=2").split()
    process = subprocess.Popen(
        [sys.executable, "-m", f"kennen_tf.{binary}", *flags], stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 120
    while not (manifest.exists() and manifest.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)

    with pytest.raises(UserError, match="Another process is building a zoo"):
        commands.run(tmp_path, line(command, zoo_dir))

    process.send_signal(signal.SIGKILL)
    shown = process.communicate()[1].decode()
    assert f"build_zoo 0/{len(build_fakes.SPECS)}" in shown
    with open(manifest, "a") as file:
        file.write('{"torn')
    before = artifacts.read_json_lines(manifest)
    assert 2 <= len(before) < len(build_fakes.SPECS)

    commands.run(tmp_path, line(command, zoo_dir, "--workers=2"))
    after = artifacts.read_json_lines(manifest)
    assert after[: len(before)] == before  # Nothing recorded was trained again.
    assert len(after) == len(build_fakes.SPECS)
    assert build_fakes.contents(zoo_dir) == build_fakes.contents(uninterrupted[0])
    names = [p.name for p in zoo_dir.rglob("*") if artifacts.TEMPORARY_MARK in p.name]
    assert not names


def test_finished_zoo_trains_nothing_and_a_lost_file_again(command, uninterrupted):
    folder, _ = uninterrupted
    record = store.Zoo.open(folder).accepted[0]
    path = store.classifier_path(folder, record.spec)
    content = path.read_bytes()
    path.unlink()
    commands.run(folder, line(command, folder, "--workers=1"))
    assert path.read_bytes() == content
    times = {p: p.stat().st_mtime_ns for p in pathlib.Path(folder).rglob("*.keras")}
    commands.run(folder, line(command, folder))
    assert times == {p: p.stat().st_mtime_ns for p in times}


# What is refused as a flag is tested in `test_flags`.
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--dataset=idx:nowhere", "nowhere"),
        ("--dataset=cifar", "cifar"),
        ("--specs=nowhere.jsonl", "nowhere.jsonl"),
        ("--zoo_dir=/proc/zoo", "/proc/zoo"),
    ],
)
def test_bad_input_is_one_sentence(command, tmp_path, flag, message):
    with pytest.raises((UserError, OSError), match=message):
        commands.run(tmp_path, line(command, tmp_path / "zoo", flag))
    assert list(tmp_path.iterdir()) == []
