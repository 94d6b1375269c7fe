"""How good detections are, against the truth: precision, recall, average precision, distances, lost identities."""
