"""What a component must offer, one module per kind."""
