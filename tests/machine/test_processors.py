"""On how many cores programs run: of the process, of its container, of the machine."""

import pytest

from kennen_tf.machine import processors

QUOTA, PERIOD = "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("affinity", "files", "cores"),
    [
        ({0, 1, 5}, {}, 3),
        ({0, 1, 5}, {"cpu.max": "max 100000"}, 3),
        ({0, 1, 5}, {"cpu.max": "200000 100000"}, 2),
        # A part of a core is used, too.
        ({0, 1, 5}, {"cpu.max": "150000 100000"}, 2),
        ({0, 1, 5}, {"cpu.max": "50000 100000"}, 1),
        ({0, 1, 5}, {"cpu.max": "800000 100000"}, 3),
        ({7}, {"cpu.max": "max 100000"}, 1),
        # Version 1 of control groups.
        ({0, 1, 5}, {QUOTA: "-1", PERIOD: "100000"}, 3),
        ({0, 1, 5}, {QUOTA: "200000", PERIOD: "100000"}, 2),
        ({0, 1, 5}, {QUOTA: "25000", PERIOD: "50000"}, 1),
        ({0, 1, 5}, {QUOTA: "125000", PERIOD: "50000"}, 3),
    ],
)
def test_cores_are_those_of_affinity_and_container(
    tmp_path, monkeypatch, affinity, files, cores
):
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{content}\n")
    monkeypatch.setattr(processors, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(
        processors.os, "sched_getaffinity", lambda pid: affinity, raising=False
    )
    assert processors.available_cores() == cores


def test_cores_without_affinity_are_those_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "_CONTROL_GROUPS", tmp_path)
    monkeypatch.delattr(processors.os, "sched_getaffinity")
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 6)
    assert processors.available_cores() == 6
    monkeypatch.setattr(processors.os, "cpu_count", lambda: None)
    assert processors.available_cores() == 1
