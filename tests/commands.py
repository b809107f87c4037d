"""Commands as they are typed, run in this process: their flags, then their function."""

import configparser
import contextlib
import importlib
import io
import os
import pathlib
import sys
import typing

from absl import flags as absl_flags

from flags import definition
from kennen_tf.machine import processors
from kennen_tf.machine.engines import engine

SETUP = pathlib.Path(__file__).resolve().parent.parent / "setup.cfg"


def console_scripts():
    """Maps the name of each console script to its binary and the function it calls."""
    setup = configparser.ConfigParser()
    setup.read(SETUP)
    lines = setup["options.entry_points"]["console_scripts"].strip().splitlines()
    parts = [line.split(" = kennen_tf.") for line in lines]
    return {script: tuple(target.split(":")) for script, target in parts}


def parse(line, *flags):
    """Returns the function of a command and the config that its flags make.

    The line starts with the name of a binary or of a console script.
    """
    name, *typed = line.split()
    binary, _ = console_scripts().get(name, (name, "main"))
    function = getattr(importlib.import_module(f"kennen_tf.{binary}"), binary)
    flag_values = absl_flags.FlagValues()
    config_class = typing.get_type_hints(function)["config"]
    make_config = definition.define(config_class, flag_values)
    assert flag_values([binary, *typed, *flags]) == [binary]
    return function, make_config()


def run(folder, line, *flags):
    """Runs a command in a folder; returns what it prints.

    What it imports from that folder is not seen by others.
    """
    before, paths, modules = os.getcwd(), [*sys.path], set(sys.modules)
    os.chdir(folder)
    try:
        function, config = parse(line, *flags)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            function(config)
        return printed.getvalue()
    finally:
        os.chdir(before)
        sys.path[:] = paths
        for name in set(sys.modules) - modules:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(os.path.join(os.path.realpath(folder), "")):
                del sys.modules[name]


class EngineHere(contextlib.AbstractContextManager):
    """Stands in for an engine where processes are not the point: it works here."""

    num_workers = 1

    def __init__(self, **settings):
        self.crew = {}
        self.processors = {"here": processors.Processor("a kind", "float32")}

    def __exit__(self, *error):
        pass

    def check(self):
        pass

    def run(self, tasks, make_work, name_of=str):
        work = make_work()
        for task in tasks:
            for message in work(task):
                yield None if isinstance(message, engine.Progress) else message
