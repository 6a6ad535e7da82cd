"""The packages in clean roots: installation, service, upgrade under load, removal."""
