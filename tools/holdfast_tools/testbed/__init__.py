"""Real routers as BMP senders, and independent decoders of their streams. Entry points: tools/testbed."""
