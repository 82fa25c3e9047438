"""Downloads into the user's cache, checked against the publisher's checksums."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

RETRIES = 1


def cache_folder(name: str) -> Path:
    """The folder of a data set in the user's cache; the environment variable XDG_CACHE_HOME moves it."""
    import pooch  # brings an HTTP client along, so only where it is used

    return Path(pooch.os_cache("bisnn_pyro")) / name


def download(name: str, url: str, md5: Mapping[str, str]) -> list[Path]:
    """Fetch files that are not in the cache yet; a file with another checksum is fetched anew.

    Args:
        name: The data set, a folder of the cache.
        url: The folder at the publisher's, with a slash at its end.
        md5: The files and their MD5 checksums, which guard against damage on the way, not against malice.

    Returns:
        The files in the cache, in the order of ``md5``.

    Raises:
        OSError: If the server cannot be reached or refuses, what comes has another checksum, or the cache
            cannot be written; the message says which.
    """
    import pooch
    from requests.exceptions import ConnectionError, Timeout

    registry = {file: f"md5:{checksum}" for file, checksum in md5.items()}
    fetcher = pooch.create(cache_folder(name), url, registry=registry, retry_if_failed=RETRIES)
    try:
        return [Path(fetcher.fetch(file)) for file in md5]
    except (ConnectionError, Timeout) as error:
        raise OSError(f"no connection to {urlsplit(url).netloc}") from error
    except ValueError as error:  # pooch's word for a wrong checksum
        raise OSError(str(error)) from error
