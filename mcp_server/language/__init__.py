"""A user's own words to wishes: by rules and manifests, without a model, knowing names and no offers."""
