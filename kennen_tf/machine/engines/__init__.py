"""Engines: they have worker processes do tasks, on this machine or on many."""
