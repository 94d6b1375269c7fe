"""Model cards (model.yaml), where models are found, and the networks."""
