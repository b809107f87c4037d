"""Keras models as files and as functions of pixels."""
