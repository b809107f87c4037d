"""Flags: help, presets and wrong input, for the shared part and for every binary."""

import ast
import dataclasses
import importlib
import os
import pathlib
import re
import subprocess
import sys

import commands
import pytest
from absl import flags as absl_flags

import flags
import kennen_tf
from flags import definition, flag_files
from kennen_tf.configs import base
from kennen_tf.evaluation import splits
from kennen_tf.vocabulary.errors import UserError

PRESETS = sorted((pathlib.Path(flags.__file__).parent / "presets").glob("*.flags"))


def config_classes():
    """Maps the name of each binary to the config class that `common.run` is given."""
    result = {}
    for path in sorted(pathlib.Path(kennen_tf.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "common.run":
                module = importlib.import_module(f"kennen_tf.{path.stem}")
                result[path.stem] = vars(module)[ast.unparse(node.args[1])]
    return result


BINARIES = config_classes()


def run(binary, *arguments, cwd=None):
    command = [sys.executable, "-m", f"kennen_tf.{binary}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a call in this process ended; like what `subprocess.run` returns."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capsys, monkeypatch, tmp_path):
    """Returns a function that runs what a console script calls, in an empty folder.

    Once in a test: flags of the command line are global.
    """
    monkeypatch.chdir(tmp_path)
    before = set(absl_flags.FLAGS)

    def called(binary, *arguments):
        module = importlib.import_module(f"kennen_tf.{binary}")
        monkeypatch.setattr(sys, "argv", [f"bin/{binary}", *arguments])
        with pytest.raises(SystemExit) as ended:
            module.main()
        return Ended(ended.value.code or 0, *capsys.readouterr())

    yield called
    for name in set(absl_flags.FLAGS) - before:
        delattr(absl_flags.FLAGS, name)


def defined_flags(config_class):
    flag_values = absl_flags.FlagValues()
    make_config = definition.define(config_class, flag_values)
    return flag_values, make_config


def names_of(flag_values):
    return {name for name in flag_values if name not in ("flagfile", "undefok")}


def check_help(binary, result):
    assert result.returncode == 0, result.stderr
    assert f"python -m kennen_tf.{binary}" in result.stdout
    assert "--flagfile" in result.stdout
    listing = result.stdout.partition(f"Flags of {binary}:")[2].split("\n  --")[1:]
    listed = {text.split(":")[0].removeprefix("[no]"): text for text in listing}
    for name in names_of(defined_flags(BINARIES[binary])[0]):
        assert "(default: " in listed[name], name


# The one run of each binary as a process of its own: as a module.
@pytest.mark.parametrize("binary", BINARIES)
def test_help_is_quick_and_lists_every_flag_with_its_default(binary):
    # Of the processor: other work does not count.
    before = os.times()
    result = run(binary, "--help")
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])
    assert 0 < seconds < 1
    check_help(binary, result)


@pytest.mark.parametrize("binary", BINARIES)
def test_help_of_a_console_script_is_the_same(binary, call):
    check_help(binary, call(binary, "--help"))


def test_each_binary_has_a_console_script():
    scripts = commands.console_scripts()
    assert sorted(scripts.values()) == sorted((binary, "main") for binary in BINARIES)
    # Names are those of the binaries, or shorter.
    for script, (binary, _) in scripts.items():
        kennen, *words = script.split("-")
        assert kennen == "kennen" and set(words) <= set(binary.split("_")), script


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
    binary, argument, message, call, tmp_path
):
    check_refusal(call(binary, argument), message, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--num_models=many"], "num_models"),
        (["--num_models=0"], "num_models must be at least 1.*Received: num_models=0"),
        (["--num_models"], "num_models"),
        (["--num_models=9", "--min_accuracy=nan"], "min_accuracy"),
        (["--num_models=9", "--min_accuracy=98"], "at least 0.0 and at most 1.0"),
        (["--epochs=many"], "epochs"),
        (["--compute_dtype=float8"], "auto.float32.bfloat16"),
        (["--zoo_dir="], "zoo_dir must be given"),
        (["--num_modles=3"], "Did you mean: num_models"),
        # Ten thousand trainings of a hundred epochs should not begin without a word.
        ([], "--num_models=100 .*minutes.* paper has --num_models=10000"),
        (["--design=digits_net"], "--num_models must be at least 1, or --specs given"),
    ],
)
def test_wrong_values_are_refused_in_one_line(arguments, message, call, tmp_path):
    check_refusal(call("build_zoo", *arguments), message, tmp_path)


def test_a_process_refuses_as_a_call_does(tmp_path):
    check_refusal(run("build_zoo", cwd=tmp_path), "--num_models must be", tmp_path)


def check_refusal(result, message, folder):
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert re.search(message, result.stderr)
    assert result.stderr.count("\n") == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("binary", BINARIES)
def test_every_field_of_a_config_has_a_flag_with_help_and_its_default(binary):
    config_class = BINARIES[binary]
    flag_values, _ = defined_flags(config_class)
    flag_values(["program"])
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    assert set(fields) == names_of(flag_values)
    for name, field in fields.items():
        assert len(flag_values[name].help) > 10, name
        assert flag_values[name].value == field.default, name


def test_a_config_is_made_of_the_flags_with_their_types():
    flag_values, make_config = defined_flags(BINARIES["build_zoo"])
    flag_values(["x", "--num_models=7", "--min_accuracy=1", "--retry_failed"])
    config = make_config()
    assert (config.num_models, config.min_accuracy) == (7, 1.0)
    assert isinstance(config.min_accuracy, float) and config.retry_failed is True


def test_help_of_splits_names_them_all():
    text = BINARIES["train_metamodel"].settings()["split"].help
    names = (splits.RANDOM, splits.GROUP, splits.LEAVE_ONE_OUT, *splits.EXTRAPOLATIONS)
    assert all(re.search(rf"\b{name}\b", text) for name in names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bounded(base.Config):
    kind: str = base.setting("a", "Which.", choices=("a", "b"))
    name: str = base.setting("x", "Whose.", required=True)
    share: float = base.setting(0.5, "How much.", minimum=0.0, maximum=1.0)
    count: int = base.setting(1, "How many.", minimum=1)
    free: int = base.setting(0, "Anything.")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "c"}, r"--kind must be one of \('a', 'b'\). Received: kind='c'"),
        ({"name": ""}, "--name must be given. Received: nothing"),
        ({"share": 1.5}, "--share must be at least 0.0 and at most 1.0. .*share=1.5"),
        ({"share": -0.5}, "--share must be at least 0.0 and at most 1.0"),
        ({"share": float("nan")}, "--share must be at least 0.0 and at most 1.0"),
        ({"count": 0}, "--count must be at least 1. Received: count=0"),
    ],
)
def test_what_a_field_says_of_itself_is_checked(values, message):
    with pytest.raises(UserError, match=message):
        Bounded(**values)


def test_values_within_the_bounds_come_back_from_json():
    config = Bounded(kind="b", share=1.0, count=1, free=-7)
    assert Bounded.from_json(config.to_json()) == config
    with pytest.raises(UserError, match="Unknown keys for Bounded: .'shares'."):
        Bounded.from_json({"shares": 1})


@pytest.mark.parametrize(
    ("kind", "field"), [(int, 3), (tuple, base.setting((), "Of no type with a flag."))]
)
def test_a_field_that_can_have_no_flag_is_a_defect(kind, field):
    made = dataclasses.make_dataclass(
        "Made", [("thing", kind, field)], bases=(base.Config,), frozen=True
    )
    with pytest.raises(TypeError, match="Received: thing, .*of Made"):
        defined_flags(made)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
@pytest.mark.parametrize("binary", BINARIES)
def test_presets_are_taken_by_every_binary(binary, preset):
    flag_values, _ = defined_flags(BINARIES[binary])
    lines = flag_files.read_flag_file(str(preset), binary)
    assert flag_values(["program", *lines]) == ["program"]


def test_the_presets_are_those_that_the_documentation_names():
    assert [path.stem for path in PRESETS] == ["demo", "laptop", "paper"]


def test_a_preset_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = flag_files.read_flag_file("flags/presets/paper.flags", "build_zoo")
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
    assert flag_files.read_flag_file(flag_file, "build_zoo") == [
        "--seed=3",
        "--epochs=5",
        "--num_models=10",
        "--workers=2",
    ]
    assert flag_files.read_flag_file(flag_file, "query_zoo") == [
        "--seed=3",
        "--num_queries=50",
    ]
    assert flag_files.read_flag_file(flag_file, "train_metamodel") == ["--seed=3"]


@pytest.mark.parametrize("form", ["--flagfile={}", "-flagfile={}", "--flagfile {}"])
def test_typed_flags_win_over_those_of_a_file(form, flag_file):
    arguments = ["--num_models=7", *form.format(flag_file).split(), "--epochs", "9"]
    flag_values, make_config = defined_flags(BINARIES["build_zoo"])
    flag_values(["program", *flag_files.expand_flag_files(arguments, "build_zoo")])
    config = make_config()
    assert (config.num_models, config.epochs, config.workers) == (7, 9, 2)


def test_arguments_without_a_flag_file_stay_as_they_are():
    arguments = ["--a=1", "--b", "2", "c", "--", "--flagfile=x"]
    assert flag_files.expand_flag_files(arguments, "build_zoo") == arguments


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
        flag_files.read_flag_file(str(path), "build_zoo")


@pytest.mark.parametrize(
    "arguments", [["--flagfile"], ["--flagfile="], ["--flagfile=."]]
)
def test_a_flag_file_must_be_a_file(arguments):
    with pytest.raises(UserError, match="--flagfile must be a text file"):
        flag_files.expand_flag_files(arguments, "build_zoo")


SCRIPT = '''"""Does what its tests ask for."""
import dataclasses, errno, os, sys
from flags import common
from kennen_tf.configs import base
from kennen_tf.vocabulary.errors import UserError

@dataclasses.dataclass(frozen=True, kw_only=True)
class ToyConfig(base.Config):
    mode: str = base.setting(
        "good",
        "Which.",
        choices=("good", "mistake", "defect", "full", "interrupted"),
    )
    resume: bool = base.setting(True, "Whether to go on.")

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

if __name__ == "__main__":
    common.run(toy, ToyConfig)
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
