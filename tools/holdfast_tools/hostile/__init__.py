"""Hostile senders against a real collector: what a stranger, a router or a neighbour can do to the others."""
