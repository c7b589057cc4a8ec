"""The papers' studies: what trains, serves and measures in one go."""
