"""The REST API of the platform, put together from the apps' routers."""

from ninja import NinjaAPI

from scheduling.api.jobs import router as jobs
from scheduling.api.problems import answer_problems

api = NinjaAPI(
    title="Operations platform",
    version="1",
    openapi_url="/api/openapi.json",
    docs_url=None,  # its page loads assets from elsewhere
)
api.add_router("", jobs)
answer_problems(api)
