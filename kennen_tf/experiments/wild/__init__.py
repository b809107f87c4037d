"""Metamodels on classifiers that other people trained and published."""
