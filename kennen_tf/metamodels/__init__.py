"""Metamodels: classifiers of classifiers, from query outputs to attributes."""
