"""Flags: help, presets and wrong input, for the shared part and for every binary."""

import ast
import contextlib
import importlib
import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import time

import pytest
from absl import flags as absl_flags

import flags
import kennen_tf
from flags import common
from kennen_tf.configs.zoo import ZooConfig
from kennen_tf.vocabulary.errors import UserError

PRESETS = sorted((pathlib.Path(flags.__file__).parent / "presets").glob("*.flags"))
MODULES = [
    module
    for info in pkgutil.iter_modules(flags.__path__)
    # Those that several binaries share define no binary's flags.
    if hasattr(module := importlib.import_module(f"flags.{info.name}"), "define")
]


def define_of_binaries():
    """Maps the name of each binary to the `define` that it gives to `common.run`."""
    result = {}
    for path in sorted(pathlib.Path(kennen_tf.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "common.run":
                module = importlib.import_module(f"kennen_tf.{path.stem}")
                result[path.stem] = eval(ast.unparse(node.args[1]), vars(module))
    return result


BINARIES = define_of_binaries()


def run(binary, *arguments, cwd=None):
    command = [sys.executable, "-m", f"kennen_tf.{binary}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def defined_flags(define):
    flag_values = absl_flags.FlagValues()
    make_config = define(flag_values)
    return flag_values, make_config


def names_of(flag_values):
    return {name for name in flag_values if name not in ("flagfile", "undefok")}


@pytest.mark.parametrize("binary", BINARIES)
def test_help_is_quick_and_lists_every_flag_with_its_default(binary):
    seconds = []
    for _ in range(5):  # The quickest counts: other work may slow any of them.
        start = time.perf_counter()
        result = run(binary, "--help")
        seconds.append(time.perf_counter() - start)
        if seconds[-1] < 1:
            break
    assert result.returncode == 0, result.stderr
    assert min(seconds) < 1
    assert f"python -m kennen_tf.{binary}" in result.stdout
    assert "--flagfile" in result.stdout
    listing = result.stdout.partition(f"Flags of {binary}:")[2].split("\n  --")[1:]
    listed = {text.split(":")[0].removeprefix("[no]"): text for text in listing}
    for name in names_of(defined_flags(BINARIES[binary])[0]):
        assert "(default: " in listed[name], name


@pytest.mark.parametrize("binary", BINARIES)
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--no_such_flag=1", "no_such_flag"),
        ("leftover", "leftover"),
        ("--flagfile=missing.flags", "missing.flags"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(
    binary, argument, message, tmp_path
):
    result = run(binary, argument, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--num_models=many", "num_models"),
        ("--num_models=0", "num_models must be at least 1.*Received: num_models=0"),
        ("--num_models", "num_models"),
        ("--min_accuracy=nan", "min_accuracy"),
        ("--compute_dtype=float8", "auto.float32.bfloat16"),
        ("--zoo_dir=", "zoo_dir must be given"),
        ("--num_modles=3", "Did you mean: num_models"),
    ],
)
def test_wrong_values_are_refused_in_one_line(argument, message, tmp_path):
    result = run("build_zoo", argument, cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert re.search(message, result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_field_of_the_config_has_a_flag_with_help(module):
    flag_values, make_config = defined_flags(module.define)
    flag_values(["program"])
    # A config may refuse its defaults (a folder that must be given); a field without
    # a flag is a TypeError.
    with contextlib.suppress(UserError):
        fields = set(make_config().to_json())
        assert fields == names_of(flag_values)
    for name in names_of(flag_values):
        assert len(flag_values[name].help) > 10, name


def test_every_flag_module_is_used_by_a_binary():
    used = {define.__module__ for define in BINARIES.values()}
    assert used == {module.__name__ for module in MODULES}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("binary", BINARIES)
def test_presets_are_taken_by_every_binary(binary, preset):
    flag_values, _ = defined_flags(BINARIES[binary])
    lines = common.read_flag_file(str(preset), binary)
    assert flag_values(["program", *lines]) == ["program"]


def test_the_presets_are_those_that_the_documentation_names():
    assert [path.stem for path in PRESETS] == ["demo", "laptop", "paper"]


def test_a_preset_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = common.read_flag_file("flags/presets/paper.flags", "build_zoo")
    assert "--num_models=10000" in lines


@pytest.fixture
def flag_file(tmp_path):
    path = tmp_path / "my.flags"
    path.write_text(
        "# For all.\n--seed=3\n\n[build_zoo]\n  --epochs=5\n--num_models=10\n"
        "[query_zoo]\n--num_queries=50\n[build_zoo]\n--workers=2\n"
    )
    return str(path)


def test_sections_are_for_one_binary_and_what_precedes_them_for_all(flag_file):
    assert common.read_flag_file(flag_file, "build_zoo") == [
        "--seed=3",
        "--epochs=5",
        "--num_models=10",
        "--workers=2",
    ]
    assert common.read_flag_file(flag_file, "query_zoo") == [
        "--seed=3",
        "--num_queries=50",
    ]
    assert common.read_flag_file(flag_file, "train_metamodel") == ["--seed=3"]


@pytest.mark.parametrize("form", ["--flagfile={}", "-flagfile={}", "--flagfile {}"])
def test_typed_flags_win_over_those_of_a_file(form, flag_file):
    arguments = ["--num_models=7", *form.format(flag_file).split(), "--epochs", "9"]
    flag_values, make_config = defined_flags(BINARIES["build_zoo"])
    flag_values(["program", *common.expand_flag_files(arguments, "build_zoo")])
    config = make_config()
    assert (config.num_models, config.epochs, config.workers) == (7, 9, 2)


def test_arguments_without_a_flag_file_stay_as_they_are():
    arguments = ["--a=1", "--b", "2", "c", "--", "--flagfile=x"]
    assert common.expand_flag_files(arguments, "build_zoo") == arguments


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"--seed=1\n[biuld_zoo]\n", r"line 2: a section.*Received: \[biuld_zoo\]"),
        (b"[]\n", "line 1: a section"),
        (b"seed=1\n", "line 1: expected a flag.*Received: seed=1"),
        (b"\xff\xfe", "text file"),
    ],
)
def test_a_wrong_flag_file_is_refused_by_its_line(content, message, tmp_path):
    path = tmp_path / "my.flags"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"my.flags.*{message}|{message}.*my.flags"):
        common.read_flag_file(str(path), "build_zoo")


@pytest.mark.parametrize(
    "arguments", [["--flagfile"], ["--flagfile="], ["--flagfile=."]]
)
def test_a_flag_file_must_be_a_file(arguments):
    with pytest.raises(UserError, match="--flagfile must be a text file"):
        common.expand_flag_files(arguments, "build_zoo")


SCRIPT = '''"""Does what its tests ask for."""
import dataclasses, errno, os, sys
from flags import common
from kennen_tf.configs import base
from kennen_tf.errors import UserError

@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyConfig(base.Config):
    mode: str = "good"
    resume: bool = True

def toy(config):
    if config.mode == "mistake":
        raise UserError("no zoo at x.\\nBuild one.")
    if config.mode == "defect":
        raise ValueError("a defect")
    if config.mode == "full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "zoo/manifest.jsonl")
    if config.mode == "interrupted":
        raise KeyboardInterrupt
    print(os.environ["KERAS_BACKEND"], os.environ["TF_ENABLE_ONEDNN_OPTS"])

def define(flag_values):
    flag = common.Definer(ToyConfig, flag_values)
    flag.choice("mode", ("good", "mistake", "defect", "full", "interrupted"), "Which.")
    flag.boolean("resume", "Whether to go on.")
    return flag.make_config

if __name__ == "__main__":
    common.run(toy, define)
'''


def run_script(tmp_path, *arguments):
    path = tmp_path / "toy.py"
    path.write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "jax"},
    )


def test_a_run_that_succeeds_ends_with_status_0_on_the_tensorflow_backend(tmp_path):
    result = run_script(tmp_path)
    assert (result.returncode, result.stdout) == (0, "tensorflow 1\n")


@pytest.mark.parametrize("flag", ["--help", "-help", "-h", "--helpshort"])
def test_help_starts_with_the_docstring(tmp_path, flag):
    result = run_script(tmp_path, "--mode=mistake", flag)
    assert result.returncode == 0
    assert result.stdout.startswith("Does what its tests ask for.\n\nFlags of toy:\n")


@pytest.mark.parametrize(
    ("mode", "status", "line"),
    [
        ("mistake", 1, "error: no zoo at x. Build one.\n"),
        (
            "full",
            1,
            "error: [Errno 28] No space left on device: 'zoo/manifest.jsonl'\n",
        ),
        ("interrupted", 130, "error: stopped; the same command goes on from here.\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path, mode, status, line):
    result = run_script(tmp_path, f"--mode={mode}")
    assert (result.returncode, result.stderr) == (status, line)


def test_who_stops_a_run_is_told_how_it_goes_on(tmp_path):
    result = run_script(tmp_path, "--mode=interrupted", "--noresume")
    line = "error: stopped; the same command with --resume goes on from here.\n"
    assert (result.returncode, result.stderr) == (130, line)


def test_a_defect_keeps_its_traceback(tmp_path):
    result = run_script(tmp_path, "--mode=defect")
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "ValueError: a defect" in result.stderr


def test_a_field_without_a_flag_is_a_defect():
    flag_values = absl_flags.FlagValues()
    definer = common.Definer(ZooConfig, flag_values)
    definer.integer("seed", "Root seed.")
    flag_values(["program"])
    with pytest.raises(TypeError, match="Fields without a flag:.*num_models"):
        definer.make_config()
