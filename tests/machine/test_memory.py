"""How much memory is free, and that more is refused before anything long begins."""

import pytest

from kennen_tf.machine import memory
from kennen_tf.vocabulary.errors import UserError


@pytest.fixture
def meminfo(tmp_path, monkeypatch):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "_INFO", path)
    monkeypatch.setattr(memory, "_CONTAINER", tmp_path)
    return path


def test_free_memory_is_that_of_the_container_too(meminfo):
    container = meminfo.parent
    assert memory.available_memory() == 4000 * 1024
    (container / "memory.max").write_text("max\n")
    (container / "memory.current").write_text("1000\n")
    assert memory.available_memory() == 4000 * 1024
    (container / "memory.max").write_text("3000\n")
    assert memory.available_memory() == 2000
    # Files that were read count as used, until something needs their place.
    (container / "memory.stat").write_text("anon 300\ninactive_file 600\n")
    assert memory.available_memory() == 2600
    meminfo.unlink()
    (container / "memory.max").unlink()
    assert memory.available_memory() > 0


def test_what_does_not_fit_is_refused_with_its_numbers(meminfo):
    memory.check_memory(4000 * 1024, "This", "Take less.")
    meminfo.write_text("MemAvailable: 4000000 kB\n")
    wanted = "This needs about 9.0 GB of memory. Received: 4.1 GB .* Take less"
    with pytest.raises(UserError, match=wanted):
        memory.check_memory(9_000_000_000, "This", "Take less.")


def test_where_it_is_not_known_how_much_is_free_nothing_is_refused(meminfo):
    meminfo.unlink()
    memory.check_memory(1 << 60, "This", "Take less.")
