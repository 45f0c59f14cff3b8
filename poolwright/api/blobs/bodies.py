"""Bodies of writes to blobs, as clients of the public storage service send them."""

from __future__ import annotations

import base64
import binascii
from xml.etree import ElementTree

from starlette.requests import Request

from poolwright.api.blobs.answers import Refused
from poolwright.domain.blobs import BLOCKS_MAX

BLOCK_MAX_BYTES = 4000 * 1024**2  # public limit of one block
LIST_MAX_BYTES = 8 * 1024**2
_BLOCK_ID_MAX = 64  # public limit, before encoding


def content_length(request: Request, most: int) -> int:
    """What the request says of its length. Raises Refused."""
    text = request.headers.get("content-length", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refused(411, "MissingContentLengthHeader", "Content-Length is needed.")
    if int(text) > most:
        raise Refused(413, "RequestBodyTooLarge", f"At most {most} bytes can be written at once.")
    return int(text)


def check_digest(request: Request, digest: bytes) -> None:
    """A body is what Content-MD5 says. Raises Refused."""
    told = request.headers.get("content-md5")
    if told is not None and told != base64.b64encode(digest).decode():
        raise Refused(400, "Md5Mismatch", "The body has another MD5 than Content-MD5 says.")


def block_id(text: str) -> bytes:
    """The id of a block, as an address or a list has it (base64). Raises Refused."""
    try:
        block = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        block = b""
    if not 1 <= len(block) <= _BLOCK_ID_MAX:
        raise Refused(400, "InvalidQueryParameterValue", "blockid is 1 to 64 bytes in base64.")
    return block


def block_list(body: bytes) -> list[tuple[str, bytes]]:
    """The body of Put Block List: where to look for each block (lower case), and its id. Raises Refused."""
    bad = Refused(400, "InvalidXmlDocument", "The list of blocks is no XML of the right form.")
    if b"<!" in body:
        raise bad
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - no entities: see above
    except ElementTree.ParseError:
        raise bad from None
    kinds = ("Latest", "Uncommitted", "Committed")
    if root.tag != "BlockList" or any(entry.tag not in kinds for entry in root):
        raise bad
    if len(root) > BLOCKS_MAX:
        raise Refused(400, "BlockListTooLong", f"A blob has at most {BLOCKS_MAX} blocks.")
    return [(entry.tag.lower(), block_id((entry.text or "").strip())) for entry in root]
