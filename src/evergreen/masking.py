"""What can be shown of an address: passwords, keys and tokens never reach a log, a report or a record."""

import re

PASSWORD = re.compile(r"(:///?[^/:@?#\s]*:)[^@]*@(?:[^/?#@\s]*@)*")  # one with an unescaped @ is hidden as a whole
SECRET = re.compile(r"(?i)([?&;][\w.-]*(?:passw|pwd|secret|token|key|sig|credential|odbc_connect)[\w.-]*=)[^&;\s]*")


def shown_source(text: str) -> str:
    """A source, or a text with one in it, without the passwords of its addresses.

    >>> shown_source("postgresql+psycopg://ana:open-sesame@host/shop?sslpassword=x&sslmode=require")
    'postgresql+psycopg://ana:***@host/shop?sslpassword=***&sslmode=require'
    >>> shown_source("data/2026-*.parquet")
    'data/2026-*.parquet'
    """
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1***@", text))
