"""An export to the Hugging Face hub. The token is read by `huggingface_hub` alone, and is in no message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.errors import Halt, UserError
from cluster.local_copies import on_this_machine
from pipelines.export.job import Job


def token() -> str:
    """That of `HF_TOKEN` or of the login. `UserError` where there is none."""
    from huggingface_hub import get_token

    if found := get_token():
        return found
    raise UserError("--push needs a token of the Hugging Face hub: set HF_TOKEN, or log in by `hf auth login`")


def push(job: Job, progress: bool) -> str:
    """Make the repository where there is none, private, and put the export's files in it; its address.

    `UserError` where the hub refuses, `Halt` where it cannot be reached: the export itself stays.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.utils.tqdm import disable_progress_bars

    repository = job.repository or ""
    if not progress:
        disable_progress_bars()
    api = HfApi(token=token())
    files = [f"{split}.{kind}" for split in ("train", "validation", "test") for kind in ("jsonl", "parquet")]
    with _told(repository, api.endpoint):
        url = api.create_repo(repository, repo_type="dataset", private=True, exist_ok=True)
        with on_this_machine(job.target) as folder:
            api.upload_folder(
                repo_id=repository,
                repo_type="dataset",
                folder_path=folder,
                allow_patterns=[*files, "README.md"],
                delete_patterns=files,
                commit_message=f"{job.format} exported by populace",
            )
    return str(url)


@contextmanager
def _told(repository: str, endpoint: str) -> Iterator[None]:
    """The hub's errors as ours."""
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HFValidationError,
        HTTPError,  # of the client that it is built on
        OfflineModeIsEnabled,
    )

    try:
        yield
    except HFValidationError:
        raise UserError(f"{repository} is no name of a repository; --push wants OWNER/NAME") from None
    except OfflineModeIsEnabled:
        raise UserError(f"nothing was pushed to {repository}: HF_HUB_OFFLINE is set; unset it") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise UserError(f"{endpoint} does not take the token (401); set HF_TOKEN to one that may write") from None
        if status == 403:
            raise UserError(f"the token may not write to {repository} at {endpoint} (403)") from None
        raise Halt(f"{endpoint} answered {status} when {repository} was pushed; the export itself is written") from None
    except (HTTPError, OSError) as error:
        reason = type(error).__name__
        raise Halt(f"{endpoint} cannot be reached ({reason}); the export itself is written") from None
