"""Data sets and evaluation."""
