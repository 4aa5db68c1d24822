"""Pictures in files: reading photographs safely in sRGB, and writing PNG, WebP and JPEG with their settings."""
