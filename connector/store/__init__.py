"""All SQL, and nothing but storage: one SQLite file in WAL mode, one writer thread."""
