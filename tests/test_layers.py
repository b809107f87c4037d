"""Who imports whom: read from the source with `ast`, and seen in fresh interpreters."""

import ast
import pathlib
import subprocess
import sys

import pytest

import kennen_tf

ROOT = pathlib.Path(kennen_tf.__file__).resolve().parent.parent
PACKAGES = ("flags", "kennen_tf", "pipelines")

# From the ground up: a layer imports what stands below it, and nothing above. Data goes
# the same way. README's map is this list.
LAYERS = (
    "kennen_tf.vocabulary",
    "kennen_tf.attributes",
    "kennen_tf.machine",
    "kennen_tf.machine.engines",
    "kennen_tf.configs",
    "kennen_tf.designs",
    "kennen_tf.images",
    "kennen_tf.keras_models",
    "kennen_tf.black_boxes",
    "kennen_tf.zoo",
    "kennen_tf.queries",
    "pipelines",
    "kennen_tf.imports",
    "kennen_tf.evaluation",
    "kennen_tf.metamodels.recipes",
    "kennen_tf.metamodels.crafting",
    "kennen_tf.metamodels",
    "kennen_tf.revealing",
    "kennen_tf.packaging",
    "kennen_tf.auditing",
    "kennen_tf.imagenet.classifiers.architectures",
    "kennen_tf.imagenet.classifiers",
    "kennen_tf.imagenet.attacks",
    "kennen_tf.imagenet.families",
    "kennen_tf.imagenet.aips",
    "kennen_tf.imagenet",
    "kennen_tf.imagenet.auditing",
    "kennen_tf.experiments.shared",
    "kennen_tf.experiments.wild",
    "kennen_tf.experiments",
    "flags",
    "binaries",
)
BINARIES = {
    "kennen_tf.build_zoo",
    "kennen_tf.import_zoo",
    "kennen_tf.import_outputs",
    "kennen_tf.query_zoo",
    "kennen_tf.train_metamodel",
    "kennen_tf.evaluate_metamodel",
    "kennen_tf.export_metamodel",
    "kennen_tf.reveal_black_box",
    "kennen_tf.serve_classifier",
    "kennen_tf.audit_classifier",
    "kennen_tf.reproduce",
    "kennen_tf.predict_family",
    "kennen_tf.generate_aips",
    "kennen_tf.attack_black_box",
    "kennen_tf.train_families",
    "kennen_tf.convert_weights",
    "kennen_tf.package_zoo",
}
# What flags and the help of a binary load: no TensorFlow, and no library that is slow.
LIGHT = (
    "flags",
    "kennen_tf.attributes",
    "kennen_tf.configs",
    "kennen_tf.designs.mnist_table",
    "kennen_tf.evaluation.accuracy",
    "kennen_tf.evaluation.describing",
    "kennen_tf.evaluation.intervals",
    "kennen_tf.evaluation.paper",
    "kennen_tf.evaluation.printing",
    "kennen_tf.evaluation.results",
    "kennen_tf.evaluation.results_table",
    "kennen_tf.evaluation.scores",
    "kennen_tf.evaluation.seed_summaries",
    "kennen_tf.evaluation.splits",
    "kennen_tf.machine.environment",
    "kennen_tf.vocabulary",
)
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
                # What is no module of ours may be one of others', or a name in one.
                found |= {full} if full in MODULES else {full, node.module}
    return found


def within(module, *packages):
    return any(module == p or module.startswith(f"{p}.") for p in packages)


def layer(module):
    """Returns the innermost layer that a module of ours is in."""
    if module in BINARIES:
        return "binaries"
    return max((own for own in LAYERS if within(module, own)), key=len, default=None)


def own_imports(name):
    """Returns the modules of ours that a module imports, but for the version's."""
    return {m for m in imports(name) if m in MODULES and m != "kennen_tf"}


def binaries():
    """Returns the modules that call `common.run`."""
    return {
        name
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "common.run"
    }


def test_the_list_of_binaries_is_whole():
    assert binaries() == BINARIES


@pytest.mark.parametrize("name", sorted(BINARIES))
def test_a_binary_has_the_function_that_it_is_named_after(name):
    # `common.run` takes the name of the binary from it.
    functions = {n.name for n in MODULES[name].body if isinstance(n, ast.FunctionDef)}
    assert name.split(".")[-1] in functions


def test_each_module_is_in_a_layer_and_each_layer_has_modules():
    used = {name: layer(name) for name in MODULES if name != "kennen_tf"}
    assert [name for name, own in used.items() if own is None] == []
    assert set(used.values()) == set(LAYERS)


def test_the_layers_are_the_map_of_the_readme():
    readme = pathlib.Path(__file__).resolve().parent.parent / "README.md"
    _, _, rest = readme.read_text().partition("## Map\n")
    paths = [line.split()[0] for line in rest.split("```")[1].strip().splitlines()]
    drawn = [path.removesuffix(".py").strip("/").replace("/", ".") for path in paths]
    assert drawn == [*LAYERS[:-1], "kennen_tf.<verb_noun>"]


def climbs(module, imported):
    return LAYERS.index(layer(imported)) > LAYERS.index(layer(module))


def test_no_module_imports_what_stands_above_it():
    assert own_imports("kennen_tf") == set()
    arrows = [(name, m) for name in MODULES for m in own_imports(name)]
    assert [arrow for arrow in arrows if climbs(*arrow)] == []
    assert climbs("kennen_tf.vocabulary.seeds", "kennen_tf.zoo.store")


def test_no_modules_import_each_other_in_a_circle():
    left = {name: own_imports(name) - {name} for name in MODULES}
    while free := [name for name, own in left.items() if not own]:
        for name in free:
            del left[name]
        for own in left.values():
            own -= set(free)
    assert left == {}


def test_nobody_imports_a_binary():
    assert [name for name in MODULES if imports(name) & BINARIES] == []


def test_only_binaries_and_flags_import_absl_flags():
    using = {name for name in MODULES if "absl.flags" in imports(name)}
    assert using
    assert [n for n in using if not within(n, "flags") and n not in BINARIES] == []


def test_what_loads_at_once_imports_only_itself_and_small_libraries():
    small = ("absl", "numpy", "filelock", "rich")
    for name in MODULES:
        if within(name, *LIGHT):
            heavy = [
                module
                for module in imports(name)
                if not within(module, *LIGHT, *small)
                and module.split(".")[0] not in sys.stdlib_module_names
            ]
            assert heavy == [], name


def test_nothing_is_pickled():
    picklers = ("pickle", "joblib", "dill")
    found = [n for n in MODULES if any(within(m, *picklers) for m in imports(n))]
    assert found == []


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
    names = [name for name in MODULES if name in BINARIES or within(name, *LIGHT)]
    assert heavy_after("\n".join(f"import {name}" for name in names)) == []


def test_the_check_for_tensorflow_can_fail():
    assert "sklearn" in heavy_after("import sklearn")
