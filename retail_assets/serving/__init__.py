"""Release ledger and what the services share at run time."""
