"""What went wrong inside TLS, in words.

Not here: what is done about it. Invariant: no words of a peer's are in them.
"""

import ssl

# What OpenSSL says of a certificate, in words of ours where its own leave doubts.
_CERTIFICATES = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, and not one that is trusted",
    19: "comes from an authority that is not trusted",
    20: "comes from an authority that is not trusted",
    21: "comes from an authority that is not trusted",
    23: "was revoked",
    62: "is for another name",
    64: "is for another address",
}


def explain(error: Exception) -> str:
    """Say what went wrong inside TLS, in a few words without a peer's bytes."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _CERTIFICATES.get(error.verify_code)
        return f"its certificate {words or error.verify_message.lower()}"
    if isinstance(error, ssl.SSLEOFError):
        return "the connection ended in the middle of TLS"
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "failed").replace("_", " ").lower()
        return f"TLS: {reason}"
    text = getattr(error, "strerror", None) or str(error) or "broken"
    return text.lower()
