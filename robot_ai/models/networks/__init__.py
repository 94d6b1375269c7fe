"""Networks, written natively in each framework over the same named weights."""
