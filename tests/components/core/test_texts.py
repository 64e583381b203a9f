"""Names and values as messages show them: in one line, whatever they hold."""

from tfx_loop.core.texts import listed


def test_a_message_shows_the_first_and_counts_the_rest():
    assert listed(["a", 1, "Größe"]) == "a, 1, Größe"
    assert listed(list("abcd"), 2) == "a, b and 2 more"


def test_images_and_sentences_among_the_values_stay_one_short_line():
    image = b"\x89PNG\r\n\x1a\n".decode("latin-1") * 50
    shown = listed([image, "word " * 50], 2)
    assert shown.startswith(r"\x89PNG\r\n\x1a\n")
    assert shown.isprintable()
    assert len(shown) < 130
