"""Policies: which node, and which cards of it, are taken first."""
