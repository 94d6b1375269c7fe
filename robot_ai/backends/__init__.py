"""Inference frameworks behind one contract: protocol.py states it, registry.py finds them."""
