"""Lists of containers, blobs and blocks as XML documents of the public storage service."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from urllib.parse import quote
from xml.sax.saxutils import escape

from poolwright.domain.blobs import Blob, Container, Listing, Page, Pairs, Piece
from poolwright.domain.clock import SECOND

_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMES = {
    "content-type": "Content-Type",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-disposition": "Content-Disposition",
    "cache-control": "Cache-Control",
}
_LEASE = "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"


def containers(endpoint: str, asked: Listing, found: Sequence[Container], after: str) -> str:
    """The body of List Containers."""
    rows = "".join(
        f"<Container>{_name(one.name)}<Properties>{_changed(one)}{_LEASE}</Properties>"
        f"{_metadata(one.metadata) if asked.metadata else ''}</Container>"
        for one in found
    )
    return (
        f"{_HEAD}<EnumerationResults ServiceEndpoint={_attribute(endpoint)}>{_text('Prefix', asked.prefix)}"
        f"<MaxResults>{asked.limit}</MaxResults><Containers>{rows}</Containers>"
        f"{_text('NextMarker', marker(after))}</EnumerationResults>"
    )


def blobs(endpoint: str, container: str, asked: Listing, page: Page) -> str:
    """The body of List Blobs. Blobs and prefixes are each in order of name."""
    rows = "".join(_blob(one, metadata=asked.metadata) for one in page.blobs)
    rows += "".join(f"<BlobPrefix>{_name(prefix)}</BlobPrefix>" for prefix in page.prefixes)
    return (
        f"{_HEAD}<EnumerationResults ServiceEndpoint={_attribute(endpoint)} ContainerName={_attribute(container)}>"
        f"{_text('Prefix', asked.prefix)}{_text('Delimiter', asked.delimiter)}<MaxResults>{asked.limit}</MaxResults>"
        f"<Blobs>{rows}</Blobs>{_text('NextMarker', marker(page.after or ''))}</EnumerationResults>"
    )


def blocks(committed: Iterable[Piece] | None, waiting: Iterable[Piece] | None) -> str:
    """The body of Get Block List; None leaves a part out."""
    said = ""
    for name, pieces in (("CommittedBlocks", committed), ("UncommittedBlocks", waiting)):
        if pieces is not None:
            rows = "".join(
                f"<Block><Name>{base64.b64encode(piece.block).decode()}</Name><Size>{piece.size}</Size></Block>"
                for piece in pieces
                if piece.block
            )
            said += f"<{name}>{rows}</{name}>"
    return f"{_HEAD}<BlockList>{said}</BlockList>"


def marker(after: str) -> str:
    """Where the next page begins, as clients carry it; empty at the end."""
    return base64.urlsafe_b64encode(after.encode()).decode()


def after(text: str) -> str | None:
    """The name a marker stands for; None when it is none of ours."""
    try:
        return base64.urlsafe_b64decode(text.encode()).decode()
    except (ValueError, UnicodeError):
        return None


def _blob(one: Blob, *, metadata: bool) -> str:
    settings = dict(one.settings)
    told = {_NAMES[name]: settings[name] for name in settings if name in _NAMES}
    if one.md5 is not None:
        told["Content-MD5"] = base64.b64encode(one.md5).decode()
    created = formatdate(one.created_at // SECOND, usegmt=True)
    return (
        f"<Blob>{_name(one.name)}<Properties><Creation-Time>{created}</Creation-Time>{_changed(one)}"
        f"<Content-Length>{one.size}</Content-Length>{''.join(_text(name, told[name]) for name in told)}"
        f"<BlobType>BlockBlob</BlobType>{_LEASE}<ServerEncrypted>false</ServerEncrypted></Properties>"
        f"{_metadata(one.metadata) if metadata else ''}</Blob>"
    )


def _changed(one: Blob | Container) -> str:
    modified = formatdate(one.modified_at // SECOND, usegmt=True)
    return f"<Last-Modified>{modified}</Last-Modified><Etag>0x{one.tag:X}</Etag>"


def _metadata(pairs: Pairs) -> str:
    return f"<Metadata>{''.join(_text(name, value) for name, value in pairs)}</Metadata>"


def _name(name: str) -> str:
    """XML cannot hold every character of a name; such names are encoded, and marked so."""
    if _NOT_XML.search(name):
        return f'<Name Encoded="true">{quote(name)}</Name>'
    return _text("Name", name)


def _text(name: str, value: str) -> str:
    return f"<{name}>{escape(value)}</{name}>"


def _attribute(value: str) -> str:
    return '"' + escape(value, {'"': "&quot;"}) + '"'
