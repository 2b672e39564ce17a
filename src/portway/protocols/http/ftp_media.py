"""What a file is, by the end of its name.

Not here: looking into it. Invariant: it depends on the name alone, on no file of the
machine's; what is not known is bytes.
"""

from mimetypes import MimeTypes

from portway.protocols.http.ftp_paths import FtpPath

_KNOWN = MimeTypes(filenames=())
_PACKED = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": "application/x-brotli",
    "compress": "application/x-compress",
}
BYTES = "application/octet-stream"


def media_of(path: FtpPath) -> bytes:
    """Return the media type of the file at *path*."""
    if path.type == "a":
        return b"text/plain"
    name = path.parts[-1].decode("latin-1") if path.parts else ""
    _, dot, end = name.rpartition(".")
    if not dot:
        return BYTES.encode()
    ending = f".{end.lower()}"
    packing = _KNOWN.encodings_map.get(ending)
    if packing is not None:
        return _PACKED.get(packing, BYTES).encode()
    return _KNOWN.types_map[True].get(ending, BYTES).encode()
