"""Names that DCAT documents of this product use."""

CONTEXT = "https://w3id.org/dspace/2025/1/context.jsonld"
PROPERTY = "https://w3id.org/anode/v1/property/"
"""Prefix of the properties that an operator gives to a dataset and that a filter can ask for."""
