"""A package of answers that betray all, without a zoo."""

import package_fakes
import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with query outputs in q and a package of them in mine."""
    folder = tmp_path_factory.mktemp("package")
    package_fakes.make_package(folder, licence="MIT")
    return folder
