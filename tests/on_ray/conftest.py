import pytest
import ray


@pytest.fixture(scope="package", autouse=True)
def joined(ray_of_the_session):
    """The test process itself joins the Ray of the session, once: a second time it could start no actor."""
    ray.init(ray_of_the_session.address, log_to_driver=False)
    yield
    ray.shutdown()
