"""The sample retailer's market with a price of its own in every store, and the pricers that compete in it."""
