"""kennen_tf: reverse-engineering black-box classifiers from their outputs."""

__version__ = "0.2.0.dev0"
