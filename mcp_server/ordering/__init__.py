"""From a request to an order: planned, checked, priced and written out, with nothing sent."""
