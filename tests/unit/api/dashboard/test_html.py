"""HTML as values: what is not markup is text."""

from __future__ import annotations

from risk_daemon.api.dashboard.html import Markup, joined, tag, text


def test_text_is_escaped_once_and_markup_is_not() -> None:
    assert text("<b> & \"'") == "&lt;b&gt; &amp; &quot;&#x27;"
    assert text(text("<")) == "&lt;"
    assert tag("p", "<", tag("b", "&")) == "<p>&lt;<b>&amp;</b></p>"


def test_what_does_not_print_becomes_a_space() -> None:
    assert text("a\u202eb\x00c\nd\ud800e") == "a b c d e"


def test_attributes_are_escaped_and_none_are_left_out() -> None:
    made = tag("input", name='"><script>', value=None, required=True, hidden=False, aria_label="x", class_="y", n=1)
    assert made == '<input name="&quot;&gt;&lt;script&gt;" required aria-label="x" class="y" n="1">'


def test_children_may_be_nested_and_none() -> None:
    assert joined("a", None, [Markup("<br>"), ["b", None]]) == "a<br>b"
    assert tag("ul", (tag("li", one) for one in "ab")) == "<ul><li>a</li><li>b</li></ul>"
