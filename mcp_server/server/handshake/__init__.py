"""What every client asks first, answered before the SDK is imported: its words stand in generated files."""
