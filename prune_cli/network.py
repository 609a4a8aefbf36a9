"""Whether an address of a hub answers."""

from __future__ import annotations

PROBE_TIMEOUT = 5.0
"""Seconds: a hub that takes longer to say a few words will not serve a data set or a model either."""


def probe(url: str, timeout: float = PROBE_TIMEOUT) -> str | None:
    """Ask for an address once, without retries.

    Args:
        url: Address on the hub; the user's token is sent along where there is one.

    Returns:
        Why it does not answer, None where it does.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    from huggingface_hub import get_token

    host, token = urlsplit(url).netloc, get_token()
    # GET, for which the hub documents this address; only the head of the answer is read
    request = Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urlopen(request, timeout=timeout):
            return None
    except HTTPError as error:
        return f"{host} answers {error.code} {error.reason}"
    except URLError as error:
        return f"{host} does not answer ({error.reason})"
    except (OSError, HTTPException) as error:
        return f"{host} does not answer ({error})"
