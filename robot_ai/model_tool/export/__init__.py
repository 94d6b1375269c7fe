"""From any artifact of a model card to any other format of both worlds; `exporter.py` is the way in."""
