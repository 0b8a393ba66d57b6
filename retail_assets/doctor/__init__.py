"""Finds what a disk or a power cut broke in a home, and makes again what can be made again."""
