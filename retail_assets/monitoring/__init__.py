"""What watches the platform: freshness, completeness and volume."""
