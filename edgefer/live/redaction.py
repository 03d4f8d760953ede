"""Remove credentials from the address of a network camera, so that it can be printed, logged and recorded.

    redact_address("rtsp://me:secret@cam/h264")             # "rtsp://cam/h264"
    redact_address("http://cam/v?channel=1&pwd=secret")     # "http://cam/v?channel=1&pwd=***"
    redact_text("no video at rtsp://me:secret@cam/h264")    # the same for each address in a text
    hide_arguments(address="rtsp://me:secret@cam/h264")     # in the command line that other users can list

Credentials are found by position and not by a list of known keys: a value remains only if it is known to be harmless.
Passwords often contain characters that a URL would have to escape, such as @, / or ?, so the functions accept
addresses that no URL parser accepts.
"""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from urllib.parse import unquote

__all__ = ["HIDDEN", "hide_arguments", "redact_address", "redact_text"]

HIDDEN = "***"
SCHEME = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)+//|//")
AUTHORITY = re.compile(r"[^/?#]*")
HOST = re.compile(r"(?:\[[\w.:%~-]+\]|[^\s:=&;@%\[\]]*)(?::\d{0,5})?")
SEPARATOR = re.compile(r"([&;,/?#\s])")
# Some cameras take parameters in the path, and separate them by underscores.
PATH_SEPARATOR = re.compile(r"([&;,/?#\s]|_(?=[A-Za-z]+=))")
SECRET_KEY = re.compile(
    r"pass|pwd|psw|^(p|pw|k|u|s)$|pin$|tok|key|auth|secret|sig|cred|sess|sid$|hash|jwt|bearer|otp|code$"
)
ACCOUNT_KEY = re.compile(r"user|usr|login|account|mail")
WORD_KEY = re.compile(
    r"action|(video)?codec|compression|encoding|fmt|format|mode|proto(col)?|quality|res(olution)?|(stream)?type|transport"
)
NUMBER_KEY = re.compile(
    r"cam(era)?(id)?|ch(annel|n)?(id)?|fps|(frame)?rate|h(eight)?|id|index|input|latency|(stream)?profile|rotation|size|"
    r"source|stream|subtype|tcp|timeout|track|udp|unicast|video|view|w(idth)?"
)
HARMLESS_VALUE = re.compile(
    r"\d{1,4}|\d{1,5}[x,]\d{1,5}|\d+\.\d+|true|false|yes|no|on|off|main|sub|low|high|first|second", re.IGNORECASE
)
SHORT_WORD = re.compile(r"[a-z]{1,9}[\d.]{0,4}", re.IGNORECASE)
# Such as a stream key, unlike the values that people type or that the documentation of a camera lists.
RANDOM_TEXT = re.compile(r"(?=.*[A-Z])(?=.*[a-z])(?=.*\d)[A-Za-z0-9]{16,}|eyJ[\w.-]{16,}")
# An address within a text, up to a space, a quotation mark or a bracket. Schemes are bounded, or the search would take
# seconds in a long text without an address. A colon at the end belongs to the text, as in "no video at ADDRESS: why".
ADDRESS_IN_TEXT = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]{0,30}:){1,4}//[^\s'\"<>]*[^\s'\"<>:]")


def redact_address(address: str) -> str:
    """Return ``address`` without user name and password, and with *** for other values that may be secret.

    Args:
        address: a URL, or a text that was meant as one.
    """
    scheme, location = _split_scheme(address)
    location = location[_userinfo_length(location) :]
    authority = location[: AUTHORITY.match(location).end()]  # type: ignore[union-attr]
    path, mark, query = location[len(authority) :].partition("?")
    path, fragment_mark, fragment = path.partition("#") if not mark else (path, "", "")
    shown = authority if HOST.fullmatch(authority) else HIDDEN
    return f"{scheme}{shown}{_redact_path(path)}{mark}{_redact_parameters(query)}" + (
        f"{fragment_mark}{HIDDEN}" if fragment else fragment_mark
    )


def redact_text(text: str) -> str:
    """Return ``text`` with each address that contains credentials or parameters redacted."""
    return ADDRESS_IN_TEXT.sub(lambda match: redact_address(match[0]) if _may_have_secret(match[0]) else match[0], text)


def hide_arguments(*, token: str | None = None, address: str | None = None) -> None:
    """Overwrite secrets in the command line of this process, which every user of the machine can list.

    Works only on Linux. The secrets are visible from the start of the process until this call.

    Args:
        token: a secret.
        address: a camera's address, which is overwritten if it contains credentials.
    """
    has_credentials = address is not None and redact_address(address) != address
    secrets = [text for text in (token, address if has_credentials else None) if text]
    if sys.platform != "linux" or not secrets:
        return
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        # Fields 48 and 49 of proc(5), counted from the third: the first and the last address of the command line.
        begin, end = int(fields[45]), int(fields[46])
        arguments = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if not 0 < begin < end or len(arguments) > end - begin:
        return
    for secret in (text.encode("utf-8", "surrogateescape") for text in secrets):
        at = arguments.find(secret)
        while at >= 0:
            ctypes.memset(begin + at, ord("*"), len(secret))
            at = arguments.find(secret, at + len(secret))


def _may_have_secret(address: str) -> bool:
    path = _split_scheme(address)[1].partition("/")[2]
    return bool(re.search(r"[@=]|%40|%3d", address, re.IGNORECASE) or re.search(r":|%3a", path, re.IGNORECASE))


def _split_scheme(address: str) -> tuple[str, str]:
    scheme = SCHEME.match(address)
    return (scheme[0], address[scheme.end() :]) if scheme else ("", address)


def _userinfo_length(location: str) -> int:
    """Return the length of "user:password@" at the start of ``location``; 0 if there is none."""
    end = location.rfind("@") + 1
    before, mark, query = location[:end].partition("?")
    if not mark or "@" in before:
        return end
    # An @ after a question mark belongs to a query, as in ?user=me@example.com, or to a password.
    key, mark, _ = re.split(r"[?&;]", query)[-1].partition("=")
    authority = location[: AUTHORITY.match(location).end()]  # type: ignore[union-attr]
    is_query = mark and HOST.fullmatch(authority) and (":" not in authority or _is_known(_normalize(key)))
    return 0 if is_query else end


def _redact_path(path: str) -> str:
    equals = re.search(r"=|%3d", path, re.IGNORECASE)
    begin = path.rfind("/", 0, equals.start()) + 1 if equals else len(path)
    return _redact_segments(path[:begin]) + _redact_parameters(path[begin:], PATH_SEPARATOR)


def _redact_segments(path: str) -> str:
    segments = path.split("/")
    for index, segment in enumerate(segments):
        text, previous = unquote(unquote(segment)), _normalize(segments[index - 1]) if index else ""
        follows_key = re.fullmatch(r"(access|api)?(token|key|auth|secret|password|passwd|pwd|pass)", previous)
        # Some cameras take "user:password" as a part of the path.
        if text and (follows_key or "@" in text or ":" in text or RANDOM_TEXT.fullmatch(text)):
            segments[index] = HIDDEN
    return "/".join(segments)


def _redact_parameters(text: str, separator: re.Pattern[str] = SEPARATOR) -> str:
    """Replace the values of "key=value" parameters that may be secret, and all text without a key."""
    pieces, has_secret = separator.split(text), False
    for index in range(0, len(pieces), 2):
        name, mark, value = pieces[index].partition("=")
        key = _normalize(name)
        # A password may contain the separator, and then a part of it reads like a key.
        is_shown = _is_known(key) or (re.fullmatch(r"[\w.%\[\]-]{1,40}", name) and not has_secret)
        if not mark:
            pieces[index] = name if not name or WORD_KEY.fullmatch(key) or NUMBER_KEY.fullmatch(key) else HIDDEN
        elif value and not _is_harmless(key, unquote(value)):
            pieces[index] = f"{name if is_shown else HIDDEN}={HIDDEN}"
        has_secret |= SECRET_KEY.search(key) is not None
    return "".join(pieces)


def _is_known(key: str) -> bool:
    return bool(
        SECRET_KEY.search(key) or ACCOUNT_KEY.search(key) or WORD_KEY.fullmatch(key) or NUMBER_KEY.fullmatch(key)
    )


def _is_harmless(key: str, value: str) -> bool:
    if WORD_KEY.fullmatch(key):
        return bool(SHORT_WORD.fullmatch(value) or HARMLESS_VALUE.fullmatch(value))
    return bool(NUMBER_KEY.fullmatch(key) and HARMLESS_VALUE.fullmatch(value))


def _normalize(key: str) -> str:
    return re.sub(r"[\s_.\[\]-]", "", unquote(unquote(key))).lower()
