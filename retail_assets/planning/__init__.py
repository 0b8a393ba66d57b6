"""What a planner does with forecasts: look at them at every level, hand them on, ask what if, and order."""
