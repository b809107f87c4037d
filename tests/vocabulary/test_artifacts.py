"""Files: atomic or not there at all, refused in a sentence when damaged."""

import errno
import json
import os
import re
import subprocess
import sys

import pytest

from kennen_tf.vocabulary import artifacts
from kennen_tf.vocabulary.errors import UserError


def read(path):
    return artifacts.read_json(path, wanted="zoo", make_with="make zoo")


def test_atomic_path_gives_the_final_name_only_at_the_end(tmp_path):
    path = tmp_path / "classifier.keras"
    with artifacts.atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".keras"
    assert path.read_text() == "whole"
    assert os.listdir(tmp_path) == ["classifier.keras"]


def test_atomic_path_leaves_what_was_there_if_the_body_fails(tmp_path):
    path = tmp_path / "results.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), artifacts.atomic_path(path) as temporary:
        temporary.write_text("hal")
        raise OSError(errno.ENOSPC, "full")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


def test_what_a_kill_leaves_is_removed(tmp_path):
    code = (
        "import os, sys; from kennen_tf.vocabulary import artifacts\n"
        "with artifacts.atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('hal'); os._exit(9)"
    )
    path = tmp_path / "whole.json"
    assert subprocess.run([sys.executable, "-c", code, str(path)]).returncode == 9
    assert not path.exists()
    (tmp_path / "other.json").touch()
    artifacts.remove_incomplete(tmp_path)
    assert os.listdir(tmp_path) == ["other.json"]


def test_make_folder_makes_parents_and_leaves_nothing_else(tmp_path):
    folder = artifacts.make_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    assert artifacts.make_folder(folder) == folder


def test_make_folder_refuses_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("mine")
    for folder in (path, path / "below"):
        with pytest.raises(UserError, match=re.escape(str(folder))):
            artifacts.make_folder(folder)
    assert path.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_make_folder_refuses_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    for folder in (tmp_path, tmp_path / "below"):
        with pytest.raises(UserError, match="Permission denied"):
            artifacts.make_folder(folder)


def test_a_locked_folder_refuses_another_process(tmp_path):
    code = (
        "import sys; from kennen_tf.vocabulary import artifacts\n"
        "with artifacts.folder_lock(sys.argv[1], 'building a zoo'): pass"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with artifacts.folder_lock(tmp_path, "building a zoo"):
        refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode != 0
    assert f"Another process is building a zoo in {tmp_path}" in refused.stderr
    assert subprocess.run(command).returncode == 0


def test_json_round_trip_keeps_full_precision(tmp_path):
    value = {"b": 0.1 + 0.2, "a": [1, None, "é"]}
    artifacts.write_json(tmp_path / "value.json", value)
    assert read(tmp_path / "value.json") == value
    text = (tmp_path / "value.json").read_text()
    assert text.index('"a"') < text.index('"b"')


def test_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        artifacts.write_json(tmp_path / "value.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["missing/config.json", "file/config.json"])
def test_a_missing_file_says_how_to_make_it(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="No zoo at .*config.json.*`make zoo`"):
        read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00"])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{re.escape(str(path))} is damaged"):
        read(path)


@pytest.mark.parametrize("config", [{}, {"schema_version": 2}, [], "text", None])
def test_another_schema_version_is_refused(config):
    with pytest.raises(UserError, match="zoo/config.json.*schema version 1"):
        artifacts.check_schema(config, 1, "zoo/config.json")


def test_json_lines_round_trip(tmp_path):
    path = tmp_path / "manifest.jsonl"
    assert artifacts.read_json_lines(path) == []
    rows = [{"id": 1}, {"id": 2, "reason": "a\nb"}]
    for row in rows:
        artifacts.append_json_line(path, row)
    assert artifacts.read_json_lines(path) == rows
    assert path.read_bytes().count(b"\n") == 2


def test_a_torn_last_line_is_left_out_and_mended(tmp_path):
    path = tmp_path / "manifest.jsonl"
    whole = b'{"id": 1}\n{"id": 2}\n'
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        num_whole = whole[:cut].count(b"\n")
        assert len(artifacts.read_json_lines(path)) == num_whole
        artifacts.mend_json_lines(path)
        artifacts.append_json_line(path, {"id": 3})
        assert len(artifacts.read_json_lines(path)) == num_whole + 1
    artifacts.mend_json_lines(tmp_path / "missing.jsonl")


@pytest.mark.parametrize("cut", [0, 9, 10, 11, 29, 30, 31])
def test_a_torn_line_is_found_from_the_end(tmp_path, monkeypatch, cut):
    monkeypatch.setattr(artifacts, "_BLOCK", 4)
    path = tmp_path / "manifest.jsonl"
    whole = b'{"id": 1}\n{"name": "two threes"}'
    path.write_bytes(whole[:cut])
    artifacts.mend_json_lines(path)
    assert path.read_bytes() == (whole[:10] if cut >= 10 else b"")


@pytest.mark.parametrize("line", [b"nonsense", b"", b"\xff\xfe", b"\0\0"])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"id": 1}\n' + line + b'\n{"id": 3}\n')
    with pytest.raises(UserError, match="manifest.jsonl, line 2, is damaged"):
        artifacts.read_json_lines(path)


def test_sha256_and_fingerprint(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert artifacts.sha256_of_file(path).startswith("ba7816bf8f01cfea414140de5dae2223")
    assert artifacts.fingerprint({"a": 1, "b": 2}) == artifacts.fingerprint(
        {"b": 2, "a": 1}
    )
    assert artifacts.fingerprint({"a": 1}) != artifacts.fingerprint({"a": 2})
    assert re.fullmatch("[0-9a-f]{16}", artifacts.fingerprint(None))


def test_provenance_is_json_and_says_what_ran():
    provenance = artifacts.provenance(["build_zoo", "--seed=1"])
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance["command"] == ["build_zoo", "--seed=1"]
    assert {"python", "numpy", "tensorflow"} <= set(provenance["versions"])
    assert provenance["created"].endswith("+00:00")
