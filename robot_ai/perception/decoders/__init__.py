"""Decoders: a network's output tensors to candidate boxes."""
