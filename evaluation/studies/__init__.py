"""The papers' tables, on data that anyone has."""
