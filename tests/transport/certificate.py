"""Certificates for servers on this machine: a good one, and others that no client may accept."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path

# Each has signed itself. Made for `localhost` until 2120, for `localhost` until 2020 was over,
# and for another host.
_CERTIFICATES = {
    "good": (
        "MIIBhTCCASqgAwIBAgIUE7eG399uJwFoRAe5iBwkrv9ZhUwwCgYIKoZIzj0EAwIwFDESMBAGA1UE"
        "AwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAUMRIwEAYDVQQD"
        "DAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQZadPqMgBHp72YjsKAwmj/J839"
        "flyRLlxXycixnYNCFZMFiD499vSu7ApfM/mPOi2YZywhI6phhRBL4+w1ryTRo1gwVjAUBgNVHREE"
        "DTALgglsb2NhbGhvc3QwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAoQwHQYDVR0OBBYE"
        "FFvLrfhbyU/x8eMTraQVjZXPA5WSMAoGCCqGSM49BAMCA0kAMEYCIQCIgb9/r2vdrrYjBjXZ9SOR"
        "5T/bvB3Y1ozPi9iPRVJVRQIhAMjMERhfxMLYooxqNmWvEjbD2Iniv/4ay5+XCuk8oy5h"
    ),
    "expired": (
        "MIIBgTCCASigAwIBAgIUXibmccM17u/lhMzhRAq3PtsqNBMwCgYIKoZIzj0EAwIwFDESMBAGA1UE"
        "AwwJbG9jYWxob3N0MB4XDTIwMDEwMTAwMDAwMFoXDTIxMDEwMTAwMDAwMFowFDESMBAGA1UEAwwJ"
        "bG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEGWnT6jIAR6e9mI7CgMJo/yfN/X5c"
        "kS5cV8nIsZ2DQhWTBYg+Pfb0ruwKXzP5jzotmGcsISOqYYUQS+PsNa8k0aNYMFYwFAYDVR0RBA0w"
        "C4IJbG9jYWxob3N0MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1UdDgQWBBRb"
        "y634W8lP8fHjE62kFY2VzwOVkjAKBggqhkjOPQQDAgNHADBEAiA//1/NVZmPnmRophkL+h+gJgHr"
        "x8pkvp54xyTjuFRBmQIgcdOagU7ZHGxedb2EeCTLFNqJA+AdcFxY1eYjnTCMyB0="
    ),
    "for another host": (
        "MIIBizCCATKgAwIBAgIUaSmSvQmJvBMqX3vqkntdFVIvTTYwCgYIKoZIzj0EAwIwFDESMBAGA1UE"
        "AwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAUMRIwEAYDVQQD"
        "DAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQZadPqMgBHp72YjsKAwmj/J839"
        "flyRLlxXycixnYNCFZMFiD499vSu7ApfM/mPOi2YZywhI6phhRBL4+w1ryTRo2AwXjAcBgNVHREE"
        "FTATghFlbHNld2hlcmUuaW52YWxpZDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwIChDAd"
        "BgNVHQ4EFgQUW8ut+FvJT/Hx4xOtpBWNlc8DlZIwCgYIKoZIzj0EAwIDRwAwRAIgSgpqwcpB6NWF"
        "JP5xBcD//DxQJ8MvdeZWc/UB+Cgo6NICICeYguL6XuUlwPO4jfBotN0Cjq0EIzQsf+qgn6bcwvVo"
    ),
}
# It opens nothing: it was made for these certificates.
_THEIR_KEY = (
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgn3+/w6OOrGKt6x7HWSLyAxQYpp9H"
    "5oNJoTbbK+aLyt+hRANCAAQZadPqMgBHp72YjsKAwmj/J839flyRLlxXycixnYNCFZMFiD499vSu"
    "7ApfM/mPOi2YZywhI6phhRBL4+w1ryTR"
)


def pem(name: str, folder: Path) -> Path:
    """The file that makes a client trust the certificate of that name."""
    path = folder / "certificate.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(base64.b64decode(_CERTIFICATES[name])))
    return path


def server_side(name: str, folder: Path) -> ssl.SSLContext:
    """What a server with the certificate of that name needs; its files go to the folder."""
    key = folder / "key.pem"
    lines = ssl.DER_cert_to_PEM_cert(base64.b64decode(_THEIR_KEY))
    key.write_text(lines.replace("CERTIFICATE", "PRIVATE KEY"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem(name, folder), key)
    return context


def untrusted(folder: Path) -> ssl.SSLContext:
    """What a server needs whose certificate nobody has reason to trust."""
    return server_side("good", folder)
