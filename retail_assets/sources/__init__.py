"""From landing files in any dialect to typed bronze tables and a quarantine that loses nothing."""
