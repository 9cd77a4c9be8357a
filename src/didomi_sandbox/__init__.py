"""Didomi on localhost: the bodies of its webhooks, and the client that logs in and posts them."""
