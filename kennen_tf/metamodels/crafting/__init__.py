"""Crafted queries: gradients through classifiers, and descent on images."""
