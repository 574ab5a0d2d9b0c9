"""How the project is handed out: manifests for clients and registries, README's repeated facts, the bundle."""
