"""Accelerated operation of a collector: load, events, samples, and the judgement of what grows."""
