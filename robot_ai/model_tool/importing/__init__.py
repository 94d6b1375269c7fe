"""From a bare model file to a model card: guesses with their reasons, and the card's directory."""
