"""Short scripts of the Python API, each whole: `python -m pipelines.examples.support_bot`. They ask the endpoint of
OPENAI_BASE_URL with OPENAI_API_KEY, and write below `runs/`."""
