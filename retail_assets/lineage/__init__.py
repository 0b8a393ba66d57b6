"""From a decided price back to the raw rows: what it was made from, and the proof that they still give it."""
