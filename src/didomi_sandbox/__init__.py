"""Didomi on localhost: its webhook bodies and the client that sends them. Imports nothing of the service."""
