"""Integrations with frameworks; a program imports only the modules that it uses."""
