"""Real faults for the running collector, with checks of its guarantee. Entry point: tools/torture."""
