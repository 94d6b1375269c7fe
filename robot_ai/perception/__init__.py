"""Images: encodings, letterbox, box decoders, NMS, Detections, drawing."""
