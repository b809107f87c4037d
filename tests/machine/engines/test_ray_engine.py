"""Workers of a Ray cluster: lost, joined, refused. Its nodes are local processes."""

import os
import signal
import socket
import subprocess
import sys
import time

import engine_fakes
import pytest
from engine_fakes import make_work

from kennen_tf.machine import processors
from kennen_tf.machine.engines import on_ray, ray_cluster, worker
from kennen_tf.machine.engines.on_ray import RayEngine
from kennen_tf.vocabulary.errors import UserError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.long

# What it has for workers is sent whole: they do not find it.
ray.cloudpickle.register_pickle_by_value(engine_fakes)


@pytest.fixture(scope="module")
def cluster():
    """A head and another node, of a core each."""
    with (
        pytest.MonkeyPatch.context() as patch,
        engine_fakes.two_nodes(patch, memory=10**9) as made,
    ):
        yield made


@pytest.fixture
def own(cluster, monkeypatch):
    """An engine on the cluster."""
    monkeypatch.setattr(worker, "set_up_tensorflow", engine_fakes.set_up_nothing)
    monkeypatch.setattr(on_ray, "_LOOK_SECONDS", 0.5)
    with RayEngine(address=cluster.address, memory_mb=500, again="go on") as made:
        yield made


def collect(results):
    return [result for result in results if result is not None]


def test_a_lost_worker_is_replaced_and_what_it_left_tried_again(own, tmp_path, caplog):
    deadly = tmp_path / "deadly"
    assert own.num_workers == 2
    assert set(own.processors.values()) == {processors.describe()}
    seen, nodes, items = set(), set(), []
    for result in own.run([[0.1, deadly, 0.2], [0.3], [0.4]], make_work):
        seen |= {crew.progress for crew in own.crew.values()}
        nodes |= {crew.node for crew in own.crew.values()}
        items += [result[0]] if result else []
    assert sorted(map(str, items)) == sorted(map(str, [0.1, deadly, 0.2, 0.3, 0.4]))
    assert items.index(deadly) > items.index(0.1)
    assert "WorkerCrashedError" in caplog.text
    assert f"{deadly} and 1 after it will be tried again" in caplog.text
    assert None in seen and "at 0.3" in seen
    assert nodes and nodes <= set(own.processors)


def test_errors_of_workers_come_out_and_deadly_items_are_named(own):
    with pytest.raises(UserError, match="^a wrong item$"):
        collect(own.run([["wrong"]], make_work))
    message = (
        "item always was given up: 3 workers.*Not done: item always, item 0.1.*go on"
    )
    with pytest.raises(UserError, match=message):
        collect(own.run([["always", 0.1]], make_work, "item {}".format))


def test_nodes_may_go_and_come(own, cluster):
    tasks = [[0.4, 0.4, 0.4] for _ in range(6)]
    results, at_work = [], set()
    for result in own.run(tasks, make_work):
        results += [result] if result else []
        at_work |= {crew.node for crew in own.crew.values()}
        nodes = cluster.list_all_nodes()
        if len(results) == 3 and len(nodes) == 2:
            cluster.remove_node(nodes[-1], allow_graceful=False)
        if len(results) == 6 and len(nodes) == 1:
            cluster.add_node(num_cpus=1, memory=10**9)
    # Each item has one result, whoever was lost in the middle of it.
    assert len(results) == 18
    assert len(at_work) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"gpus": 0.5},
            r"0.5 GPUs \(--gpus_per_worker\).*1 cores, 0 GPUs and 1,000 MB",
        ),
        ({"threads": 2}, r"2 cores \(--threads\)"),
        ({"memory_mb": 2000}, r"2,000 MB \(--worker_memory_mb\)"),
    ],
)
def test_more_than_a_node_has_is_refused(own, cluster, settings, message):
    greedy = RayEngine(address=cluster.address, **settings)
    # Connected by `own`, whose it is.
    with greedy, pytest.raises(UserError, match=message):
        assert own.num_workers
        collect(greedy.run([[0.1]], make_work))
    assert own.num_workers


def test_a_silent_head_is_told_after_a_while(own, monkeypatch):
    assert own.num_workers
    head = ray_cluster.HeadWatch(ray, "go on")
    head.check()
    monkeypatch.setattr(ray_cluster, "_LOOK_SECONDS", 0.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        head._address = closed.getsockname()
        head.check()
        monkeypatch.setattr(ray_cluster, "_HEAD_SECONDS", 0.0)
        with pytest.raises(UserError, match="head of the Ray cluster.*go on"):
            head.check()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"127.0.0.1:1 \(.*refused.*ray start --head --port=1"),
        ("nowhere.invalid:6379", "must listen at --ray_address"),
        ("127.0.0.1:port", "must listen at --ray_address"),
        ("ray://127.0.0.1:10001", "Ray's client"),
    ],
)
def test_where_nobody_listens_is_told(address, message):
    with pytest.raises(UserError, match=message), RayEngine(address=address) as own:
        assert own.num_workers


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("Version mismatch: started with Ray: 2.9.0"),
            "at h:1. Received: RuntimeError: Version mismatch.*Install the cluster's",
        ),
        (ConnectionError("Failed to connect"), "want a token.*RAY_AUTH_TOKEN"),
    ],
)
def test_another_ray_or_a_wanted_token_is_told(monkeypatch, error, message):
    def refuse(**settings):
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray_cluster, "_check_address", lambda address: None)
    with pytest.raises(UserError, match=message), ray_cluster.connect("h:1"):
        pass


def test_nodes_with_other_versions_or_without_the_package_are_told():
    theirs = {**ray_cluster.versions(), "keras": "3.0.0"}
    with pytest.raises(UserError, match="has: keras 3.*node n with keras 3.0.0"):
        ray_cluster.check_versions("n", theirs)
    ray_cluster.check_versions("n", ray_cluster.versions())
    error = RuntimeError("x\nModuleNotFoundError: No module named 'kennen_tf'")
    text = ray_cluster.explain_failure("n", error)
    assert "node n without it (No module named 'kennen_tf')" in text
    assert "ray job submit" in text


def test_without_ray_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    message = r"pip install 'kennen_tf\[ray\]'"
    with pytest.raises(UserError, match=message), ray_cluster.connect("h:1"):
        pass


OWN_CLUSTER = """
import os, psutil, time
from kennen_tf.machine.engines.on_ray import RayEngine
with RayEngine() as own:
    assert own.num_workers >= 1
    tree = psutil.Process().children(recursive=True)
    listening = {
        connected.laddr.ip
        for process in [psutil.Process(), *tree]
        for connected in process.net_connections()
        if connected.status == psutil.CONN_LISTEN
    }
    print(*[process.pid for process in tree])
    print(*listening, flush=True)
    time.sleep(60)
"""


def lives(pid):
    """Says whether there is such a process, and it has not ended."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_own_cluster_listens_at_home_and_dies_with_its_driver(tmp_path):
    home = {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", OWN_CLUSTER],
        env={**os.environ, **home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    addresses = process.stdout.readline().split()
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert pids, errors
    assert {a.removeprefix("::ffff:") for a in addresses} == {"127.0.0.1"}
    deadline = time.monotonic() + 30
    # Two of Ray's agents look around only once a minute.
    while sum(map(lives, pids)) > 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
