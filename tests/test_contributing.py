"""CONTRIBUTING names files that are there."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent


def test_the_files_to_begin_with_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    names = set(re.findall(r"`([a-z_/]+\.(?:py|cfg))`", text)) - {
        "kennen_tf/verb_noun.py",
        "verb_noun.py",
    }
    assert len(names) > 15
    places = (ROOT, ROOT / "kennen_tf")
    missing = [n for n in names if not any((place / n).exists() for place in places)]
    assert missing == []
