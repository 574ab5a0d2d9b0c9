"""From the vendor's yes to its last word: when to poll, what a poll showed, who holds the lease."""
