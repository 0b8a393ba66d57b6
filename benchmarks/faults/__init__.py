"""What can go wrong with files, on purpose and from a seed: each module makes the hostile files of one sort."""
