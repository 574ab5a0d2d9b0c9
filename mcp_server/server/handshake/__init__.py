"""What every client asks first, answered from generated files before the SDK is imported."""
