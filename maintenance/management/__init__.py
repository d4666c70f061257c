"""The `manage.py` side of the app."""
