"""Faults on purpose, each from a seed so that it can be made again."""
