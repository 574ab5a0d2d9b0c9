"""What is generated: pages of facts, schemas, manifests, README's blocks, the bundle. No part of the wheel."""
