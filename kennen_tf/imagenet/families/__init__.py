"""Families: named from outputs, with the metamodels that do it."""
