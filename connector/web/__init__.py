"""The two HTTP listeners: routes, parsing, rendering; no decisions."""
