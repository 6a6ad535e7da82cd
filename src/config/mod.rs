//! Environment to configuration.
