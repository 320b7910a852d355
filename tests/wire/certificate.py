"""A certificate for `localhost` that nobody has signed, for servers that no client may trust."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

_CERTIFICATE = (
    "MIIBlTCCATugAwIBAgIUU/FPEfcube5KYDpCItrVqKnYenMwCgYIKoZIzj0EAwIwFDESMBAGA1UE"
    "AwwJbG9jYWxob3N0MCAXDTI2MTEyMjAzNDcwNVoYDzIxMjYxMDI5MDM0NzA1WjAUMRIwEAYDVQQD"
    "DAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQChOejJ9jZrzzSfQ3mEAztEssd"
    "Rx1PKDIuhQfAwuQJjdHuf2EI4MAnWOOieF8wFcHqO/AU0AMiXU4oJg0RM6KDo2kwZzAdBgNVHQ4E"
    "FgQUol/MbkG2RDaAHWYu+IE5Eu0jueAwHwYDVR0jBBgwFoAUol/MbkG2RDaAHWYu+IE5Eu0jueAw"
    "DwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwIDSAAwRQIg"
    "PakIN/OAVLMLtMOPNThk7ffPDHNBV+nZYm7HiK596/4CIQDOZZO2OWOkLRmnFdNR8mt/L/Ntw5ey"
    "NE30/fS83Bybog=="
)
# It opens nothing: it was made for this certificate.
_ITS_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0qVSS7tvCxI/Vi8QOZDOhMbUT31v"
    "/gLB7L/Wo9vgyGKhRANCAAQChOejJ9jZrzzSfQ3mEAztEssdRx1PKDIuhQfAwuQJjdHuf2EI4MAn"
    "WOOieF8wFcHqO/AU0AMiXU4oJg0RM6KD"
)


def untrusted(folder: Path) -> ssl.SSLContext:
    """What a server with that certificate needs; its files are written to the folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(base64.b64decode(_CERTIFICATE)))
    lines = ssl.DER_cert_to_PEM_cert(base64.b64decode(_ITS_KEY))
    key.write_text(lines.replace("CERTIFICATE", "PRIVATE KEY"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
