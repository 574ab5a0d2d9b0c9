"""From a recorded order to the vendor's answer: local media handed over, one paid call, its outcome."""
