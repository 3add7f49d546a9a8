"""Shipped helpers for tests, of this project and of plugins. Needs the extra ``hami-core[testing]``."""
