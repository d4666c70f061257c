"""The ASGI entry point: `uvicorn opsproject.asgi:application`."""

import os
import warnings

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "opsproject.settings")

# Static files are small and already in memory; whitenoise iterates them synchronously.
warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume synchronous")

application = get_asgi_application()
