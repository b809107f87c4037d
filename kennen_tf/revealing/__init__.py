"""Exported metamodels, and what they say of a black box."""
