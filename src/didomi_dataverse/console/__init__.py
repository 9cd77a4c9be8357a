"""The console: web pages for operators and privacy officers. Nothing is here yet."""
