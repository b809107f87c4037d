"""What README and docs/ tell people to type: that it exists, and that it works.

Each command is read from the text as it stands there and run in this process, at a
small size: what is appended here comes last, and so wins over what was typed.
"""

import configparser
import contextlib
import functools
import json
import pathlib
import re
import shlex
import shutil

import commands
import fakes
import image_fakes
import keras
import numpy as np
import pytest
import server_fakes
from scipy import special

from kennen_tf.images import datasets
from kennen_tf.keras_models import saving

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXTS = ("README.md", *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")))
LIMITS = {"README.md": 250}
MOST_LINES = 200

# Not run here, but where it says; they need weights, a network, a cluster or a browser.
ELSEWHERE = {
    "kennen-convert-weights": "imagenet/classifiers/test_conversion.py",
    "TF_CONFIG=": "machine/test_distribution.py",
    "--classifiers=paper": "imagenet/classifiers/test_keras_applications.py",
    "kennen-build-zoo --design=my_resnets:DESIGN": "designs/test_documented_design.py",
    "resnet": "designs/test_documented_design.py",
    "--engine=ray": "zoo/test_build_on_ray.py",
    "kennen-audit --attack_dir": "imagenet/auditing/test_attack_folder.py",
    "--estimate": "zoo/test_estimating.py",
    "--strangers": "packaging/test_strangers.py",
    "--experiment=wild": "experiments/wild/test_wild_experiment.py",
    "--design=wild_net": "designs/test_wild_net.py",
    "python -m benchmarks.": "the benchmark itself",
    "make ": "the Makefile itself",
    "tensorboard ": "TensorBoard itself",
    "source ": "the shell itself",
    "pip ": "pip itself",
}
MANIFEST = "--classifiers=DIR/manifest.json"
SMALL = {
    "build_zoo": ("--num_models=2", "--epochs=1", "--min_accuracy=0", "--workers=1"),
    "query_zoo": ("--num_queries=20",),
    "package_zoo": ("--num_queries=20", "--num_crafted=10", "--image_epochs=1"),
    "import_zoo": (),
    "import_outputs": (),
    "train_metamodel": (
        *("--num_queries=10", "--image_epochs=1", "--num_test=4"),
        "--recipe=kernel",
    ),
    "reproduce": (
        *("--num_queries=5", "--num_seeds=1", "--num_crafted_seeds=1", "--epochs=1"),
        *("--query_draws=2", "--curve_draws=1", "--curve_crafted_draws=1"),
        *("--train_sizes=10", "--query_counts=1,5", "--crafted_query_counts=3"),
        *("--image_epochs=1", "--experiment=confusion"),
    ),
    "predict_family": (MANIFEST, "--num_queries=4", "--num_images=8"),
    "generate_aips": (
        *(MANIFEST, "--generators=vgg0", "--targets=resnet0", "--num_steps=2"),
        *("--num_images=4",),
    ),
    "attack_black_box": ("--num_steps=2", "--num_images=8", "--num_queries=4"),
    "train_families": (),
    "audit_classifier": ("--counts=3", "--num_queries=3", "--num_images=0"),
}


def scripts():
    """Maps the commands of setup.cfg to their binaries."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    lines = parser["options.entry_points"]["console_scripts"].strip().splitlines()
    pairs = (line.split(" = ") for line in lines)
    return {n.strip(): t.partition(":")[0].split(".")[1] for n, t in pairs}


def read_blocks(text, kind=""):
    """Returns the blocks of a text that are of a kind, each a list of lines."""
    blocks, inside = [], None
    for line in (ROOT / text).read_text().splitlines():
        if line.startswith("```"):
            if inside is None:
                inside = line[3:]
                blocks.append((inside, []))
            else:
                inside = None
        elif inside is not None:
            blocks[-1][1].append(line)
    return [lines for own, lines in blocks if own == kind]


def read_commands(text):
    """Returns the commands of a text, as they stand there."""
    lines = [line for block in read_blocks(text) for line in block]
    names = (
        *scripts(),
        "python ",
        "make ",
        "tensorboard ",
        "source ",
        "pip ",
        "TF_CONF",
    )
    return [line for line in lines if line.startswith(names)]


def is_elsewhere(line):
    return any(part in line for part in ELSEWHERE)


def to_line(line):
    """Returns a command as `commands` takes it: the binary, then what was typed."""
    words = shlex.split(line)
    if words[:2] == ["python", "-m"]:
        return " ".join([words[2].removeprefix("kennen_tf."), *words[3:]])
    return " ".join([scripts()[words[0]], *words[1:]])


def typed(text):
    return [to_line(line) for line in read_commands(text) if not is_elsewhere(line)]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_short(text):
    assert len((ROOT / text).read_text().splitlines()) <= LIMITS.get(text, MOST_LINES)


@pytest.mark.parametrize("text", TEXTS)
def test_links_and_pictures_lead_somewhere(text):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / text).read_text())
    inside = [t for t in targets if not t.startswith("http")]
    missing = [t for t in inside if not (ROOT / text).parent.joinpath(t).exists()]
    assert missing == []


@pytest.mark.parametrize("text", TEXTS)
def test_flags_of_commands_are_what_they_were_typed_for(text):
    for line in typed(text):
        line = re.sub(r" --flagfile=\S+", "", line)
        given = re.findall(r"--(\w+)=(\S+)", line)
        _, config = commands.parse(line)
        for name, value in given:
            assert str(getattr(config, name)) == value, line


def test_what_is_not_run_here_is_run_where_it_says():
    for where in ELSEWHERE.values():
        if where.endswith(".py"):
            assert (ROOT / "tests" / where).exists(), where


def run_all(folder, text, *, without=(), urls=None):
    """Runs the commands of a text, at other URLs; returns what they printed."""
    printed = []
    for line in typed(text):
        for url, other in (urls or {}).items():
            line = line.replace(url, other)
        binary = line.split()[0]
        if binary not in without:
            line = re.sub(r" --flagfile=\S+", "", line)
            printed.append(commands.run(folder, line, *SMALL.get(binary, ())))
    assert printed
    return printed


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with a zoo of the paper's design, untrained, and what was made of it."""
    folder = tmp_path_factory.mktemp("docs")
    specs = fakes.make_small_specs(8)
    fakes.make_zoo(folder / "zoo", specs)
    commands.run(folder, "query_zoo --zoo_dir=zoo --query_dir=queries --num_queries=20")
    # Of few attributes: their heads compile sooner.
    fakes.keep_attributes(folder / "queries", ["act", "pool", "alg", "bs"])
    commands.run(
        folder,
        "train_metamodel --query_dir=queries --metamodel_dir=runs/o --num_queries=10 "
        "--num_test=4 --recipe=kernel",
    )
    commands.run(
        folder, "export_metamodel --metamodel_dir=runs/o --export_dir=exported/o"
    )
    [first, *_] = sorted((folder / "zoo" / "classifiers").glob("*.keras"))
    shutil.copy(first, folder / "some_classifier.keras")
    np.save(folder / "digits.npy", digit_weights())
    reader = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    reader.set_weights([digit_weights()[:-1], digit_weights()[-1]])
    saving.save_model(reader, folder / "mnist.keras")
    shutil.copy(folder / "mnist.keras", folder / "mnist.h5")  # Told by its content.
    return folder


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of it, to write into."""
    return shutil.copytree(prepared, tmp_path / "own")


MY_MODULE = """
import pathlib
import numpy as np

weights = np.load(pathlib.Path(__file__).parent / "digits.npy")

def predict(images):
    return images.reshape(len(images), -1) @ weights[:-1] + weights[-1]
"""
LABELS_MODULE = f"""{MY_MODULE}
logits = predict

def predict(images):
    return logits(images).argmax(axis=1)
"""


@functools.cache
def digit_weights():
    """Weights and biases of a linear reader of digits, float32 `(785, 10)`."""
    images = datasets.load_images("mnist")
    x = images.train_images[:5000].reshape(5000, -1) / 255
    x = np.concatenate([x, np.ones((5000, 1))], axis=1)
    targets = 10 * np.eye(10)[images.train_labels[:5000]]
    solved = np.linalg.solve(x.T @ x + 10 * np.eye(785), x.T @ targets)
    return solved.astype(np.float32)


def read_digits(images):
    weights = digit_weights()
    scores = images.reshape(len(images), -1) @ weights[:-1] + weights[-1]
    return special.softmax(scores, axis=1)


@pytest.mark.long
def test_commands_of_the_readme(folder):
    shutil.copytree(folder / "exported" / "o", folder / "demo" / "exported")
    (folder / "my_module.py").write_text(MY_MODULE)
    (folder / "boxes.csv").write_text("black_box,outputs\nmnist.keras,\n")
    write_imports(folder)
    with serve_digits() as urls:
        run_all(folder, "README.md", urls=urls)
    assert (folder / "mine/exported/saved_model.pb").exists()
    assert (folder / "digits/zoo/manifest.jsonl").exists()


@pytest.mark.long
def test_the_python_of_the_readme(folder):
    shutil.copytree(folder / "exported" / "o", folder / "demo" / "exported")
    run_python("README.md", folder)


def run_python(text, folder):
    """Runs the lines of Python of a text."""
    [block] = read_blocks(text, "python")
    code = "\n".join(block).replace('"demo/', f'"{folder}/demo/')
    code = code.replace('"mnist.csv"', f'"{folder}/mnist.csv"')
    names = {"my_black_box": read_digits}
    exec(compile(code, text, "exec"), names)


def read_digit(image):
    return read_digits(image[np.newaxis])[0]


@contextlib.contextmanager
def serve_digits():
    """Serves what answers images at the URLs of the texts; yields where each is."""
    urls = {
        "http://localhost:8501/v1/models/mnist": 1,
        "http://localhost:8080/v2/models/mnist": 2,
        "http://localhost:8000/v2/models/mnist": 2,
    }
    with contextlib.ExitStack() as stack:
        models = {
            url: server_fakes.Served(version, (28, 28, 1), answer=read_digit)
            for url, version in urls.items()
        }
        for model in models.values():
            stack.enter_context(server_fakes.serve(model))
        yield {url: model.url for url, model in models.items()}


@pytest.mark.long
def test_commands_of_servers(folder, monkeypatch):
    monkeypatch.setenv("MNIST_TOKEN", "sesame")
    (folder / "headers.txt").write_text("X-Team: red\n")
    with serve_digits() as urls:
        run_all(folder, "docs/servers.md", urls=urls)
    assert (folder / "mnist.answers.npz").exists()
    assert len([*(folder / "to_send").glob("*.png")]) == 10


@pytest.mark.long
def test_commands_and_python_of_black_boxes(folder):
    shutil.copytree(folder / "exported" / "o", folder / "demo" / "exported")
    (folder / "my_module.py").write_text(MY_MODULE)
    [lines] = [b for b in read_blocks("docs/black_boxes.md") if "black_box," in b[0]]
    (folder / "boxes.csv").write_text("\n".join(lines))
    (folder / "old").mkdir()
    shutil.copy(folder / "mnist.h5", folder / "old")
    run_all(folder, "docs/black_boxes.md")
    rows = (folder / "table.csv").read_text().splitlines()
    assert len(rows) == len(lines)
    run_python("docs/black_boxes.md", folder)


@pytest.mark.long
def test_commands_of_auditing(folder):
    defend = "\n\ndef defend(rows):\n    return rows\n"
    (folder / "my_module.py").write_text(MY_MODULE + defend)
    run_all(folder, "docs/auditing.md")
    for name in ("audit", "audit_of_mine"):
        assert (folder / name / "index.html").exists(), name


@pytest.mark.long
def test_commands_of_wild(folder):
    shutil.rmtree(folder / "queries")
    with serve_digits() as urls:
        run_all(folder, "docs/wild.md", urls=urls)


@pytest.mark.long
def test_commands_of_methods(folder):
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "exported")
    run_all(folder, "docs/methods.md")
    for name in ("o", "s", "linear", "i", "io"):
        assert (folder / "runs" / name / "results.json").exists(), name


@pytest.mark.long
def test_commands_of_packages(folder):
    shutil.rmtree(folder / "runs")
    (folder / "my_module.py").write_text(LABELS_MODULE)
    printed = run_all(folder, "docs/packages.md")
    assert (folder / "exported/io/saved_model.pb").exists()
    assert (folder / "mine/package.json").exists()
    assert "mine/kennen-s" in printed[-1] or "mnist.keras" in printed[-1]


@pytest.mark.long
def test_commands_of_paper(folder):
    # The zoo that is there is the paper's; another is not begun beside it.
    shutil.copytree(folder / "zoo", folder / "demo" / "zoo")
    shutil.copytree(folder / "queries", folder / "demo" / "queries")
    shutil.rmtree(folder / "runs")
    shutil.rmtree(folder / "exported")
    run_all(folder, "docs/paper.md", without=["build_zoo"])
    assert (folder / "report" / "index.html").exists()


@pytest.mark.long
def test_commands_of_imports(folder):
    write_imports(folder)
    shutil.rmtree(folder / "zoo")
    shutil.rmtree(folder / "queries")
    shutil.rmtree(folder / "runs")
    run_all(folder, "docs/imports.md", without=["import_outputs"])
    shutil.rmtree(folder / "queries")
    [line] = [
        one for one in typed("docs/imports.md") if one.startswith("import_outputs")
    ]
    commands.run(folder, line)


@pytest.mark.long
def test_commands_of_imagenet(folder):
    image_fakes.write_manifest(folder / "DIR", {"vgg": 3, "resnet": 3})
    shutil.copy(folder / "DIR" / "vgg0.keras", folder / "target.keras")
    labels = [0, 1, 2, 3] * 4
    image_fakes.write_images(folder / "DIR" / "images", labels)
    changed = [
        line.replace("--images=DIR", "--images=DIR/images")
        for line in typed("docs/imagenet.md")
    ]
    for line in changed:
        binary = line.split()[0]
        small = SMALL.get(binary, ())
        if "leave-one-out" in line:
            small = ("--num_queries=4",)
        commands.run(folder, line, *small)
    assert (folder / "runs/attack/results.json").exists()


def write_imports(folder):
    """Writes models.csv, images.npz and answers.npz, as docs/imports.md has them."""
    rng = np.random.default_rng(0)
    records = map(json.loads, (folder / "zoo/manifest.jsonl").read_text().splitlines())
    rows = ["name,file,optimizer"]
    for record in records:
        file = folder / "zoo" / "classifiers" / f"{record['id']}.keras"
        copied = folder / "files" / file.name
        copied.parent.mkdir(exist_ok=True)
        shutil.copy(file, copied)
        rows.append(f"{record['id']},files/{file.name},{record['spec']['alg']}")
    (folder / "models.csv").write_text("\n".join(rows))
    images = rng.integers(0, 256, (40, 28, 28, 1), np.uint8)
    labels = (np.arange(40) % 10).astype(np.int32)
    np.savez(folder / "images.npz", images=images, labels=labels)
    outputs = rng.dirichlet(np.ones(10), (len(rows) - 1, 20)).astype(np.float32)
    np.savez(folder / "answers.npz", outputs=outputs)
