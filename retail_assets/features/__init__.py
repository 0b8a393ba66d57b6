"""Feature store: apply, materialise, point-in-time training sets, parity and age checks."""
