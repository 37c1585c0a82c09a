"""From acknowledged events to published marts."""
