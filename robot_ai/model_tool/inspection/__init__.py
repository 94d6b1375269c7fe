"""Looking into model files, without running anything of theirs: format, inputs, outputs, metadata."""
