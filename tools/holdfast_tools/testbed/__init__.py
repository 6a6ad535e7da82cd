"""Real routers as BMP senders, and independent checks of their streams. Entry points: tools/testbed."""
