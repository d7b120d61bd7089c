"""A request has no place for an address: the one field that is called a URL takes an image and nothing else."""

import base64
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.prompt import IMAGE_SIGNATURES, ImageUrl
from schemas.request import Request

IMAGE = TypeAdapter(ImageUrl)
ADDRESSES = ("url", "uri", "href", "host", "endpoint", "address", "callback", "webhook", "proxy", "server")

schemes = st.sampled_from(["http", "https", "HTTP", "file", "ftp", "gopher", "data", "blob", "s3", "", " "])
separators = st.sampled_from(["://", ":", ":/", "//", ":\\\\", "%3a//", ":\t//", ":\n//", "：//"])
hosts = st.sampled_from(["evil.example", "127.0.0.1", "[::1]", "169.254.169.254", "0x7f000001", "a@b", "local:9092"])
rests = st.sampled_from(["", "/", "/a.png", "?x=data:image/png;base64,", "#data:image/png;base64,AA", "/../..", "\x00"])
images = st.sampled_from(["data:image/png;base64,", "data:image/png,", "data:;base64,", "data:image/svg+xml;base64,"])
odd = st.tuples(schemes, separators, hosts, rests).map("".join)


def is_an_image(url: str) -> bool:
    head, _, payload = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    return base64.b64decode(payload, validate=True).startswith(IMAGE_SIGNATURES[media_type])


@given(st.one_of(odd, st.tuples(images, odd).map("".join), st.tuples(odd, images).map("".join), st.text()))
def test_what_names_a_host_is_never_taken_for_an_image(url: str) -> None:
    try:
        taken = IMAGE.validate_python({"url": url}, strict=True).url
    except ValidationError:
        return
    parts = urlsplit(taken)
    assert (parts.scheme, parts.netloc) == ("data", "")
    assert is_an_image(taken)


@given(st.sampled_from(sorted(IMAGE_SIGNATURES)), st.binary(max_size=64))
def test_an_image_is_taken_as_it_is(media_type: str, content: bytes) -> None:
    payload = base64.b64encode(IMAGE_SIGNATURES[media_type][0] + content).decode()
    url = f"data:{media_type};base64,{payload}"
    assert IMAGE.validate_python({"url": url}, strict=True).url == url


def fields(schema: Any) -> Iterator[str]:
    """The name of every property, at whatever depth."""
    if isinstance(schema, dict):
        known = cast("dict[str, Any]", schema)
        yield from known.get("properties", {})
        for value in known.values():
            yield from fields(value)
    elif isinstance(schema, list):
        for value in cast("list[Any]", schema):
            yield from fields(value)


def test_no_other_field_of_a_request_is_an_address() -> None:
    names = set(fields(Request.model_json_schema()))
    assert {name for name in names if any(word in name.lower() for word in ADDRESSES)} == {"image_url", "url"}
    assert "$defs" in Request.model_json_schema()


@pytest.mark.parametrize("name", [*ADDRESSES, "base_url", "api_base", "webhook_url", "metadata"])
def test_a_field_that_is_none_of_ours_is_refused(name: str) -> None:
    request = {"request_id": "r", "tenant_id": "acme", "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(ValidationError, match=name):
        Request.model_validate({**request, name: "http://evil.example"})
