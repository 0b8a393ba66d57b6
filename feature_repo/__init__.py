"""Feast definitions: what the features are, who they belong to and how long they may be believed."""
