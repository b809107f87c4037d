"""Who imports whom: read from the source with `ast`, and seen in fresh interpreters."""

import ast
import pathlib
import subprocess
import sys

import pytest

import kennen_tf

ROOT = pathlib.Path(kennen_tf.__file__).resolve().parent.parent
PACKAGES = ("flags", "kennen_tf", "pipelines")

BINARIES = {
    "kennen_tf.build_zoo",
    "kennen_tf.import_zoo",
    "kennen_tf.import_outputs",
    "kennen_tf.query_zoo",
    "kennen_tf.train_metamodel",
    "kennen_tf.evaluate_metamodel",
    "kennen_tf.export_metamodel",
    "kennen_tf.reveal_black_box",
    "kennen_tf.reproduce",
    "kennen_tf.predict_family",
    "kennen_tf.generate_aips",
    "kennen_tf.attack_black_box",
    "kennen_tf.train_families",
    "kennen_tf.convert_weights",
}
VOCABULARY = {
    "kennen_tf.artifacts",
    "kennen_tf.attributes",
    "kennen_tf.configs",
    "kennen_tf.designs.mnist_table",
    "kennen_tf.environment",
    "kennen_tf.errors",
    "kennen_tf.paper",
    "kennen_tf.seeds",
    "kennen_tf.splits",
}
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "tensorflow_datasets")


def modules():
    """Maps the name of each module of the three packages to its syntax tree."""
    result = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            result[name] = ast.parse(path.read_text(), str(path))
    return result


MODULES = modules()


def imports(name):
    """Returns the modules that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: imports are absolute."
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def within(module, *packages):
    return any(module == p or module.startswith(f"{p}.") for p in packages)


def binaries():
    """Returns the modules that call `common.run`."""
    return {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "common.run"
    }


LIBRARY = sorted(set(MODULES) - BINARIES)


def test_the_list_of_binaries_is_whole():
    assert binaries() == BINARIES


@pytest.mark.parametrize("name", sorted(BINARIES))
def test_a_binary_has_the_function_that_it_is_named_after(name):
    # `common.run` takes the name of the binary from it.
    functions = {n.name for n in MODULES[name].body if isinstance(n, ast.FunctionDef)}
    assert name.split(".")[-1] in functions


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nobody_imports_a_binary(name):
    assert not imports(name) & BINARIES


@pytest.mark.parametrize("name", [n for n in LIBRARY if within(n, "kennen_tf")])
def test_libraries_import_neither_flags_nor_pipelines(name):
    assert not [m for m in imports(name) if within(m, "absl.flags", "flags")]
    assert not [m for m in imports(name) if within(m, "pipelines")]


@pytest.mark.parametrize("name", [n for n in LIBRARY if within(n, *VOCABULARY)])
def test_the_vocabulary_imports_only_itself_and_small_libraries(name):
    for module in imports(name):
        assert (
            within(module, *VOCABULARY)
            or within(module, "numpy", "filelock")
            or module.split(".")[0] in sys.stdlib_module_names
        ), module


@pytest.mark.parametrize("name", [n for n in LIBRARY if within(n, "flags")])
def test_flags_import_only_absl_and_the_vocabulary(name):
    for module in imports(name):
        assert (
            within(module, "absl", "flags", *VOCABULARY)
            or module.split(".")[0] in sys.stdlib_module_names
        ), module


@pytest.mark.parametrize("name", [n for n in LIBRARY if within(n, "pipelines")])
def test_pipelines_import_neither_flags_nor_models(name):
    forbidden = (
        "absl.flags",
        "flags",
        "keras",
        "kennen_tf.zoo",
        "kennen_tf.metamodels",
    )
    assert not [m for m in imports(name) if within(m, *forbidden)]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_nothing_is_pickled(name):
    assert not [m for m in imports(name) if within(m, "pickle", "joblib", "dill")]


def heavy_after(code):
    """Returns which heavy libraries a fresh interpreter has loaded after `code`."""
    report = f"\nimport sys\nprint(*[m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code + report],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.split()


def test_flags_configs_binaries_and_vocabulary_do_not_load_tensorflow():
    names = [
        name
        for name in MODULES
        if name in BINARIES
        or name in ("kennen_tf.evaluation", "kennen_tf.reporting")
        or within(name, "flags", *VOCABULARY)
    ]
    assert heavy_after("\n".join(f"import {name}" for name in names)) == []


def test_the_check_for_tensorflow_can_fail():
    assert "sklearn" in heavy_after("import sklearn")
