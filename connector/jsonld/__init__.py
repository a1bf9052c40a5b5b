"""JSON-LD at the edges: frozen contexts, guarded documents."""
