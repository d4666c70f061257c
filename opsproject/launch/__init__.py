"""What `manage.py up` starts, in order: data directory, broker, first start, processes, smoke."""
