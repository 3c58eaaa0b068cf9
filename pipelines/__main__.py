"""`python -m pipelines …` is `populace …`."""

from pipelines.cli import main

if __name__ == "__main__":
    main()
