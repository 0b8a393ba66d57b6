"""What of the documents is made: command reference, tables of checks and settings, examples of what commands print."""
