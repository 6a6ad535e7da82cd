//! BMP (RFC 7854, 8671, 9069, 9736): bytes to messages.
