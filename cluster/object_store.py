"""Who is asked for the objects of a bucket, how patiently, and what the answers mean in a user's words.

Owns credentials, region, retries and errors. Knows no run: which objects there are is the caller's.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cluster.errors import Halt, UserError

if TYPE_CHECKING:
    from obstore.store import S3Store

PATIENCE_S = 120.0  # for a store that answers 5xx or not at all
BEYOND_ITS_END = "InvalidRange"  # the code for bytes that an object does not have
_EXTRA = "pip install 'populace[s3]'"
_MISSING = f"s3:// needs the package obstore: {_EXTRA}"
_TIMEOUT_S = 60
_CODE = re.compile(r"<Code>(\w+)</Code>")  # S3 answers errors by a document that names one of these
_CREDENTIALS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthFailure")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_LIFE = timedelta(minutes=5)  # after which credentials are asked for again; botocore renews them by itself


def store_of(bucket: str, patience_s: float = PATIENCE_S) -> S3Store:
    """One for each bucket and process, to be asked within `told`. `UserError` where what it needs is not installed, or
    there are no credentials.

    What fails for a moment (5xx, no connection) is tried again with growing pauses for `patience_s` seconds.
    """
    return _store(bucket, patience_s, _endpoint())


@contextmanager
def told(where: str) -> Iterator[None]:
    """Raises FileNotFoundError for an object that is not there, and a `Halt` of one line for all that only the user can
    mend; refusals of conditional puts pass."""
    try:
        from obstore import exceptions
    except ImportError:
        raise UserError(_MISSING) from None
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such object", where) from error
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except (exceptions.BaseError, TimeoutError) as error:
        raise Halt(f"{where}: {in_words(error)}") from error


def code_of(error: BaseException | None) -> str:
    """The code by which S3 named an error, or ""."""
    found = _CODE.search(str(error))
    return found[1] if found else ""


def file_system_of_s3() -> Any:
    """fsspec's view of all buckets. `UserError` as from `told` and `store_of`."""
    try:
        from obstore.fsspec import FsspecStore
    except ImportError:
        raise UserError(_MISSING) from None
    return FsspecStore("s3", **_options(PATIENCE_S))


def _options(patience_s: float) -> dict[str, Any]:
    """Of an obstore store."""
    config: dict[str, Any] = {}
    options: dict[str, Any] = {"config": config, "retry_config": _retries(patience_s)}
    if not os.environ.get("AWS_ACCESS_KEY_ID") and os.environ.get("AWS_SKIP_SIGNATURE") != "true":
        options["credential_provider"], region = _credentials()
        config |= {"region": region} if region else {}
    options["client_options"] = {
        "allow_http": _endpoint().startswith("http://"),
        "timeout": timedelta(seconds=_TIMEOUT_S),
    }
    return options


def _retries(patience_s: float) -> dict[str, Any]:
    """For how long, and how often."""
    backoff = {
        "init_backoff": timedelta(seconds=min(0.1, patience_s / 10)),
        "max_backoff": timedelta(seconds=min(10.0, patience_s / 4)),
        "base": 2,
    }
    return {"max_retries": 10_000, "retry_timeout": timedelta(seconds=patience_s), "backoff": backoff}


@lru_cache(maxsize=16)
def _store(bucket: str, patience_s: float, endpoint: str) -> S3Store:
    try:
        from obstore.store import S3Store
    except ImportError:
        raise UserError(_MISSING) from None
    made: Callable[..., S3Store] = S3Store
    return made(bucket, **_options(patience_s))


def _endpoint() -> str:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _credentials() -> tuple[Callable[[], dict[str, Any]], str | None]:
    """Those that AWS's own tools would find: profiles, SSO, roles of machines and pods; and the region beside them."""
    try:
        from botocore.session import Session
    except ImportError:
        raise UserError(
            f"s3:// finds no AWS_ACCESS_KEY_ID, and to look elsewhere needs the package botocore: {_EXTRA}"
        ) from None
    session = Session()
    try:
        found = session.get_credentials()
    except Exception as error:  # the boundary: any provider may fail in a way of its own
        raise UserError(f"s3:// credentials cannot be read: {' '.join(str(error).split())[:200]}") from None
    if found is None:
        raise UserError(
            "s3:// finds no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with the AWS tools"
        )

    def frozen() -> dict[str, Any]:
        now = found.get_frozen_credentials()
        said = {"access_key_id": now.access_key, "secret_access_key": now.secret_key, "token": now.token}
        return said | {"expires_at": datetime.now(UTC) + _LIFE}

    return frozen, session.get_config_variable("region")


def in_words(error: BaseException) -> str:
    """What is wrong, and the way out."""
    text, code, refused = str(error), code_of(error), type(error).__name__ == "PermissionDeniedError"
    said = f" ({code})" if code else ""
    if code == "NoSuchBucket":
        return "there is no such bucket; make it, or correct the address"
    if code in _CREDENTIALS:
        return f"the store does not take the credentials{said}; put in valid ones"
    if code in _ELSEWHERE:
        return f"the bucket is in another region{said}; set AWS_REGION to its own"
    if refused or code == "AccessDenied":
        return (
            f"the store refuses it{said}; the credentials need s3:ListBucket, s3:GetObject, s3:PutObject and "
            "s3:DeleteObject there"
        )
    plain = " ".join(text.partition("Debug source:")[0].partition("<?xml")[0].split())[:300]
    return f"{plain}{said}; check the store, its address (AWS_ENDPOINT_URL) and the network, and run again"
