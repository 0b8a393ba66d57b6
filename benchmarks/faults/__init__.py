"""What goes wrong on purpose: inputs and accidents, each reproducible by its seed."""
