from edgefer.escaping import escape_markdown, printable


def test_control_characters_are_escaped():
    assert printable("\x1b]52;c;\x07 \x9b31m\r") == "\\x1b]52;c;\\x07 \\x9b31m\\r"
    assert printable("caf\udce9 \u202egnp.exe \u2028") == "caf\\xe9 \\u202egnp.exe \\u2028"


def test_other_text_is_unchanged():
    text = "caf\u00e9 \u2500\u2014 \u4f60\u597d\n\ttab \U0001f468\u200d\U0001f469 \u00a0 %s {x} [bold]"
    assert printable(text) == text


def test_markdown_shows_the_characters_of_the_text():
    text = "*a* _b_ `c` [d](e) ~f~ # <g> & h\\i\nj\x1b"
    assert escape_markdown(text) == "\\*a\\* _b_ \\`c\\` \\[d\\](e) \\~f\\~ \\# &lt;g> &amp; h\\\\i j\\\\x1b"
