"""The Comfy Router adapter and its facts."""
