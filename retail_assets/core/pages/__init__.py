"""What every HTML page of ours is made of: the shell, sections, tables, legends, and pictures as SVG."""
