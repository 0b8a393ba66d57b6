"""One file per outside system: the lake, the warehouse, the feature store, the model store."""
