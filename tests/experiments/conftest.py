"""Fixtures of experiments: a zoo with a planted answer."""

import fakes
import pytest


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """Folder of a zoo where the optimizer is betrayed by every answer."""
    return fakes.make_betraying_zoo(tmp_path_factory.mktemp("planted"))
