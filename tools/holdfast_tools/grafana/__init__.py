"""Dashboards for Grafana: one definition per panel, the JSON in deploy/grafana, and checks of both."""
