"""What was agreed on with a server about TLS.

Not here: agreeing on it (servertls.py). Invariant: once a server has ended data with a
close_notify, none of its data count as whole without one, unless the administrator has
said that they do.
"""

from dataclasses import dataclass
from ssl import SSLContext
from typing import Literal

Eof = Literal["auto", "strict", "lenient"]


@dataclass(slots=True, eq=False)
class Secured:
    """What holds for one server, whose control connection is inside TLS.

    *host* is the name that it must prove to have. *private* says that data are to be
    inside TLS. *says_goodbye* is true once it has ended data with a close_notify.
    """

    context: SSLContext
    host: str
    eof: Eof
    private: bool = False
    says_goodbye: bool = False

    @property
    def lenient(self) -> bool:
        """Whether data that end without a close_notify may be all there is."""
        if self.eof == "auto":
            return not self.says_goodbye
        return self.eof == "lenient"
