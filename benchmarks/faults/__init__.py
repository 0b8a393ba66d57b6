"""What can go wrong, on purpose and from a seed: each module makes the faults of one sort."""
