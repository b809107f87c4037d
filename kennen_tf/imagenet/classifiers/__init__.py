"""Classifiers of natural images: where they come from, and how they are asked."""
