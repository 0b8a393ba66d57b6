"""The sample retailer: a seeded simulator with known truth that writes files as real systems would."""
