"""The manifest for Kubernetes and the script for SLURM: well-formed, real flags."""

import pathlib
import re
import subprocess

import commands
import pytest

yaml = pytest.importorskip("yaml")
DEPLOY = pathlib.Path(__file__).resolve().parent.parent / "deploy"


def test_the_ray_job_gives_a_command_that_is_there():
    job = yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())
    assert job["kind"] == "RayJob"
    words = job["spec"]["entrypoint"].split()
    assert words[:3] == ["python", "-m", "kennen_tf.build_zoo"]
    own = [word for word in words[3:] if not word.startswith("--flagfile=")]
    _, config = commands.parse(" ".join(["build_zoo", "--num_models=9", *own]))
    assert (config.engine, config.ray_address) == ("ray", "auto")
    head = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    [container] = head["containers"]
    mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
    assert any(config.zoo_dir.startswith(f"{path}/") for path in mounted)
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in head["volumes"]
    }


def test_the_slurm_script_gives_a_command_that_is_there():
    script = DEPLOY / "slurm.sh"
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text().replace("\\\n", " ")
    [flags] = re.findall(r"python -m kennen_tf\.build_zoo (.*) \"\$@\"", text)
    flags = flags.replace('"$address"', "h:6379")
    _, config = commands.parse(f"build_zoo --num_models=9 {flags}")
    assert (config.engine, config.ray_address) == ("ray", "h:6379")
