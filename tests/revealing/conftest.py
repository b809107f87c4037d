"""One exported metamodel for all tests of asking."""

import bars
import pytest

from kennen_tf.revealing.exported_metamodel import ExportedMetamodel


@pytest.fixture(scope="session")
def bars_path(tmp_path_factory):
    return str(bars.export(tmp_path_factory.mktemp("bars") / "o"))


@pytest.fixture(scope="session")
def metamodel(bars_path):
    return ExportedMetamodel.load(bars_path)
