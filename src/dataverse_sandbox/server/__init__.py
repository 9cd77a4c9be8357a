"""The ASGI application, and the TLS server that runs it on loopback."""
