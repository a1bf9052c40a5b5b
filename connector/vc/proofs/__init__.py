"""Data Integrity proofs. What is costly or risky (RDF) is apart from keys, to run elsewhere."""
