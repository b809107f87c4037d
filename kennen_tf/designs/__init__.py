"""Designs of zoos: what is varied, what classifiers see, how they are made."""
