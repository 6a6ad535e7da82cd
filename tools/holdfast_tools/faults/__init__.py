"""Real faults for the running collector, and the checks that see a broken guarantee. Entry point: tools/torture."""
