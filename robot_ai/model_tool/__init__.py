"""The model tool: import, export, verify and benchmark of models."""
