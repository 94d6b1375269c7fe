"""What a microcontroller gets to see of the detections: few, in polar form, in a message of fixed size."""
