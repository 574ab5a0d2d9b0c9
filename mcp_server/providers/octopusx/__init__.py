"""The octopusx adapter and its facts."""
