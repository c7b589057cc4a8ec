"""Chance, spelt out: what a request leaves to chance is drawn once, when it is accepted, and stored with it."""

import secrets


def drawn_seed() -> int:
    """A seed that nobody named, from 32 bits of the system's chance."""
    return secrets.randbits(32)
