"""On GPUs, with --run_gpu; and benchmarks/gpu.sh, which tries them, without any."""

import json
import pathlib
import subprocess
import sys

import fakes
import pytest

from kennen_tf.configs.metamodels import MetamodelConfig

SCRIPT = pathlib.Path(__file__).parent.parent.parent / "benchmarks" / "gpu.sh"


def run_script(*flags):
    return subprocess.run(
        [str(SCRIPT), *flags],
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_without_a_gpu_the_script_says_so_and_fails(monkeypatch):
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    done = run_script()
    assert done.returncode == 1
    assert "error: TensorFlow sees no GPU here" in done.stderr
    assert "benchmarks/gpu.sh --cpu" in done.stderr


@pytest.mark.long
def test_the_script_compares_devices():
    done = run_script("--cpu", "--num_models=8", "--workers=2", "--metamodel_epochs=2")
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    zoo, shared, one, mirrored = [
        [cell.strip() for cell in line.split("│")[1:-1]]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    ]
    assert zoo[:2] == ["zoo, 1 worker", "CPU"] and zoo[3:] == ["-", "-"]
    assert shared[0] == "zoo, 2 workers" and shared[4] == "equal"
    assert "times as fast" in shared[3]
    assert one[:2] == ["kennen-o, MLPs", "CPU"]
    assert mirrored[:2] == ["kennen-o, MLPs, mirrored", "2 logical CPUs"]
    assert mirrored[4] == "equal" or mirrored[4].startswith("accuracy ")
    for row in (zoo, shared, one, mirrored):
        assert float(row[2]) > 0


@pytest.mark.gpu
def test_a_model_is_on_the_gpu():
    import keras
    import tensorflow as tf

    assert tf.config.list_physical_devices("GPU"), "--run_gpu needs a GPU"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    assert "GPU" in model.weights[0].value.device


@pytest.mark.gpu
@pytest.mark.parametrize("strategy", ["one_device", "mirrored"])
def test_a_metamodel_learns_on_gpus(strategy, tmp_path):
    fakes.write_query_outputs(tmp_path / "q", 120, 24, planted=True)
    config = MetamodelConfig(
        query_dir=str(tmp_path / "q"),
        metamodel_dir=str(tmp_path / "m"),
        recipe="mlp",
        num_queries=20,
        epochs=12,
        strategy=strategy,
    )
    flags = [f"--{n}={v}" for n, v in config.to_json().items()]
    command = [sys.executable, "-m", "kennen_tf.train_metamodel", *flags]
    subprocess.run(command, check=True)
    rows = (tmp_path / "m" / "metrics.jsonl").read_text().splitlines()
    first, last = (json.loads(row)["train"]["loss"] for row in (rows[0], rows[-1]))
    assert last < first
